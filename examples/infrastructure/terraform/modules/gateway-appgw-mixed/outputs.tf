output "id" {
  description = "The Application Gateway."
  value       = azurerm_application_gateway.this.id
}

output "public_ip_id" {
  description = "The public address."
  value       = module.edge.public_ip_id
}

output "fqdn" {
  description = "Its name."
  value       = module.edge.fqdn
}
