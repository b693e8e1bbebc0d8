output "id" {
  description = "The vault."
  value       = azurerm_key_vault.this.id
}

output "uri" {
  description = "Where secrets are asked for."
  value       = azurerm_key_vault.this.vault_uri
}

output "disk_encryption_set_id" {
  description = "What the disks of fleets are encrypted with."
  value       = azurerm_disk_encryption_set.this.id
}
