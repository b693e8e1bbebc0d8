output "id" {
  description = "The primary."
  value       = azurerm_postgresql_flexible_server.primary.id
}

output "host" {
  description = "The name of the writer: that of the virtual endpoint where there is a replica."
  value = var.replica == null ? azurerm_postgresql_flexible_server.primary.fqdn : (
    "${azurerm_postgresql_flexible_server_virtual_endpoint.this[0].name}.writer.postgres.database.azure.com"
  )
}

output "replica_id" {
  description = "The replica; null where there is none."
  value       = one(azurerm_postgresql_flexible_server.replica[*].id)
}
