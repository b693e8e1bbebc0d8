output "scale_set_ids" {
  description = "The scale sets, by colour; those of baseline fleets as `blue-baseline` and `green-baseline`."
  value       = { for colour, set in azurerm_orchestrated_virtual_machine_scale_set.this : colour => set.id }
}

output "load_balancer_id" {
  description = "The internal load balancer of both colours."
  value       = azurerm_lb.this.id
}

output "backend_pool_ids" {
  description = "The pools, by colour: `adminState` of a member drains it."
  value       = { for colour, pool in azurerm_lb_backend_address_pool.this : colour => pool.id }
}

output "backends" {
  description = "Where the gateways find each colour."
  value       = { for colour, address in var.addresses : colour => "${address}:${var.port}" }
}
