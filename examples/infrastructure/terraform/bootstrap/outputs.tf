output "backend" {
  description = "What the file backend.tf of each environment names."
  value = {
    resource_group_name  = azurerm_resource_group.this.name
    storage_account_name = azurerm_storage_account.this.name
  }
}
