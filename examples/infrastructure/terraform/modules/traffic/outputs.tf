output "fqdn" {
  description = "The name that the services' own names are aliases of."
  value       = azurerm_traffic_manager_profile.this.fqdn
}
