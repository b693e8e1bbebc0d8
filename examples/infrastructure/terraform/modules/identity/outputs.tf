output "ids" {
  description = "The identities: controller, gateway, service, edge, images, pipeline, disks."
  value       = { for name, identity in azurerm_user_assigned_identity.this : name => identity.id }
}

output "principal_ids" {
  description = "What roles are given to."
  value       = { for name, identity in azurerm_user_assigned_identity.this : name => identity.principal_id }
}

output "client_ids" {
  description = "What a machine or a job names when it asks for a token."
  value       = { for name, identity in azurerm_user_assigned_identity.this : name => identity.client_id }
}

output "controller_name" {
  description = "The name under which the controller signs in to the ledger."
  value       = azurerm_user_assigned_identity.this["controller"].name
}
