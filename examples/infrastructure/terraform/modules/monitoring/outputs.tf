output "workspace_id" {
  description = "The workspace."
  value       = azurerm_log_analytics_workspace.this.id
}

output "collection_rule_ids" {
  description = "The data collection rules, by short name of the region."
  value       = { for region, rule in azurerm_monitor_data_collection_rule.guest : region => rule.id }
}

output "action_group_ids" {
  description = "Whom an alert calls: page or tell."
  value       = { page = azurerm_monitor_action_group.page.id, tell = azurerm_monitor_action_group.tell.id }
}
