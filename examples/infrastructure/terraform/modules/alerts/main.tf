# What somebody has to know of one resource: a table of metrics, each with the bound at which it calls and what to do then.

resource "azurerm_monitor_metric_alert" "this" {
  for_each = local.alerts

  name                = "alert-${each.key}-${local.suffix}"
  resource_group_name = var.context.resource_group
  scopes              = [each.value.scope]
  description         = each.value.what
  severity            = each.value.severity
  frequency           = "PT1M"
  window_size         = each.value.window
  auto_mitigate       = true
  tags                = var.context.tags

  criteria {
    metric_namespace = each.value.namespace
    metric_name      = each.value.metric
    aggregation      = each.value.aggregation
    operator         = each.value.operator
    threshold        = each.value.threshold
  }

  action {
    action_group_id = var.action_group_ids[each.value.severity <= 1 ? "page" : "tell"]
  }
}

# What Azure itself knows of its machines. That instance repair has suspended itself is not among it: the controller reads serviceState.
resource "azurerm_monitor_activity_log_alert" "health" {
  name                = "alert-health-${local.suffix}"
  location            = "global"
  resource_group_name = var.context.resource_group
  scopes              = [var.resource_group_id]
  description         = "Azure reports a resource as unavailable or degraded"
  tags                = var.context.tags

  criteria {
    category = "ResourceHealth"

    resource_health {
      current  = ["Degraded", "Unavailable"]
      previous = ["Available", "Unknown"]
      reason   = ["PlatformInitiated", "Unknown"]
    }
  }

  action {
    action_group_id = var.action_group_ids.tell
  }
}
