output "public_ip_id" {
  description = "The public address."
  value       = azurerm_public_ip.this.id
}

output "fqdn" {
  description = "Its name."
  value       = azurerm_public_ip.this.fqdn
}

output "firewall_policy_id" {
  description = "The firewall policy."
  value       = azurerm_web_application_firewall_policy.this.id
}
