output "virtual_network_id" {
  description = "The virtual network."
  value       = azurerm_virtual_network.this.id
}

output "subnet_ids" {
  description = "The subnets: edge, gateway, control, endpoints, services."
  value       = { for name, subnet in azurerm_subnet.this : name => subnet.id }
}

output "subnet_prefixes" {
  description = "Their ranges."
  value       = local.subnets
}

output "private_zone_ids" {
  description = "The private DNS zones: blob, vault, postgres."
  value       = { for name, zone in azurerm_private_dns_zone.this : name => zone.id }
}

output "outbound_address" {
  description = "The address from which everything here is seen from outside."
  value       = azurerm_public_ip.outbound.ip_address
}
