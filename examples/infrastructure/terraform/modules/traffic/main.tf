# One name for all regions. It answers with the first region that is well: about 35 s after one fails, and one TTL later for those
# who remembered it. A failover changes no configuration.

resource "azurerm_traffic_manager_profile" "this" {
  name                   = "traf-${var.context.project}-${var.context.environment}"
  resource_group_name    = var.context.resource_group
  traffic_routing_method = "Priority"
  tags                   = var.context.tags

  dns_config {
    relative_name = "${var.context.project}-${var.context.environment}"
    ttl           = 30
  }

  monitor_config {
    protocol                     = "HTTPS"
    port                         = 443
    path                         = var.health_path
    interval_in_seconds          = 10
    timeout_in_seconds           = 5
    tolerated_number_of_failures = 2

    custom_header {
      name  = "host"
      value = var.health_host
    }
  }
}

resource "azurerm_traffic_manager_azure_endpoint" "this" {
  for_each = var.regions

  name               = each.key
  profile_id         = azurerm_traffic_manager_profile.this.id
  target_resource_id = each.value.public_ip_id
  priority           = each.value.priority
}
