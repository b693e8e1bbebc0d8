output "account" {
  description = "The storage account of routes, reports and provenance."
  value       = azurerm_storage_account.routes.primary_blob_endpoint
}

output "routes_container" {
  description = "Where the controller writes routes."
  value       = "${azurerm_storage_account.routes.primary_blob_endpoint}routes"
}
