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

output "pool_ids" {
  description = "The pool of each service, for both of its scale sets."
  value       = { for pool in azurerm_application_gateway.this.backend_address_pool : pool.name => pool.id }
}
