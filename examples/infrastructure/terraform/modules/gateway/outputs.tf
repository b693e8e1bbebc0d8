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

output "scale_set_id" {
  description = "The Envoys."
  value       = azurerm_orchestrated_virtual_machine_scale_set.this.id
}

output "load_balancer_id" {
  description = "The internal load balancer of the Envoys."
  value       = azurerm_lb.this.id
}

output "url" {
  description = "Where the Envoys answer inside the network: what checks of a release ask."
  value       = "http://${var.address}:${var.port}"
}
