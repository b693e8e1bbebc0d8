output "assignment_ids" {
  description = "The assignments, for exemptions."
  value = concat(
    [azurerm_resource_group_policy_assignment.images.id],
    [for assignment in azurerm_resource_group_policy_assignment.builtin : assignment.id],
    [for assignment in azurerm_resource_group_policy_assignment.tags : assignment.id],
  )
}
