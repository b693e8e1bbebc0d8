# Where signals go and whom they call: a workspace, a collection rule for machines, two action groups, a budget.

resource "azurerm_log_analytics_workspace" "this" {
  name                           = "log-${local.suffix}"
  location                       = var.context.location
  resource_group_name            = var.context.resource_group
  sku                            = "PerGB2018"
  retention_in_days              = var.retention_days
  daily_quota_gb                 = var.daily_quota_gb
  local_authentication_enabled   = false
  internet_query_access_type     = "Enabled"
  internet_ingestion_access_type = "Enabled"
  tags                           = var.context.tags
}

# One for each region: a rule is in the region of the machines that it reads.
resource "azurerm_monitor_data_collection_rule" "guest" {
  for_each = var.locations

  name                = "dcr-guest-${var.context.project}-${var.context.environment}-${each.key}"
  location            = each.value.location
  resource_group_name = each.value.resource_group
  kind                = "Linux"
  tags                = merge(var.context.tags, { region = each.key })

  data_sources {
    performance_counter {
      name                          = "machine"
      streams                       = ["Microsoft-Perf"]
      sampling_frequency_in_seconds = 60
      counter_specifiers = [
        "Processor(*)\\% Processor Time",
        "Memory(*)\\% Used Memory",
        "Logical Disk(*)\\% Used Space",
        "Network(*)\\Total Bytes",
      ]
    }

    syslog {
      name           = "system"
      streams        = ["Microsoft-Syslog"]
      facility_names = ["auth", "authpriv", "daemon", "kern", "syslog"]
      log_levels     = ["Warning", "Error", "Critical", "Alert", "Emergency"]
    }
  }

  destinations {
    log_analytics {
      name                  = "workspace"
      workspace_resource_id = azurerm_log_analytics_workspace.this.id
    }
  }

  data_flow {
    streams      = ["Microsoft-Perf", "Microsoft-Syslog"]
    destinations = ["workspace"]
  }
}

resource "azurerm_monitor_action_group" "page" {
  name                = "ag-page-${local.suffix}"
  resource_group_name = var.context.resource_group
  short_name          = "page"
  tags                = var.context.tags

  dynamic "email_receiver" {
    for_each = var.page_emails

    content {
      name                    = email_receiver.key
      email_address           = email_receiver.value
      use_common_alert_schema = true
    }
  }

  dynamic "webhook_receiver" {
    for_each = var.page_webhooks

    content {
      name                    = webhook_receiver.key
      service_uri             = webhook_receiver.value
      use_common_alert_schema = true
    }
  }
}

resource "azurerm_monitor_action_group" "tell" {
  name                = "ag-tell-${local.suffix}"
  resource_group_name = var.context.resource_group
  short_name          = "tell"
  tags                = var.context.tags

  dynamic "email_receiver" {
    for_each = var.tell_emails

    content {
      name                    = email_receiver.key
      email_address           = email_receiver.value
      use_common_alert_schema = true
    }
  }
}

resource "azurerm_consumption_budget_resource_group" "this" {
  name              = "budget-${local.suffix}"
  resource_group_id = var.resource_group_id
  amount            = var.monthly_budget
  time_grain        = "Monthly"

  time_period {
    start_date = var.budget_from
  }

  notification {
    operator       = "GreaterThan"
    threshold      = 80
    threshold_type = "Actual"
    contact_groups = [azurerm_monitor_action_group.tell.id]
  }

  notification {
    operator       = "GreaterThan"
    threshold      = 100
    threshold_type = "Forecasted"
    contact_groups = [azurerm_monitor_action_group.tell.id]
  }
}
