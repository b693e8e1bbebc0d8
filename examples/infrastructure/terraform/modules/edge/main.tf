# What the three kinds of gateway have in common: the public address and the web application firewall.

resource "azurerm_public_ip" "this" {
  name                = "pip-edge-${local.suffix}"
  location            = var.context.location
  resource_group_name = var.context.resource_group
  allocation_method   = "Static"
  sku                 = "Standard"
  zones               = var.zones
  domain_name_label   = var.domain_label
  tags                = var.context.tags
}

resource "azurerm_web_application_firewall_policy" "this" {
  # checkov:skip=CKV_AZURE_135:checkov looks for the OWASP set; Microsoft's default set 2.1 has the Log4j rule 944240, turned on
  name                = "waf-${local.suffix}"
  location            = var.context.location
  resource_group_name = var.context.resource_group
  tags                = var.context.tags

  policy_settings {
    enabled                     = true
    mode                        = var.firewall_mode
    request_body_check          = true
    max_request_body_size_in_kb = 128
    file_upload_limit_in_mb     = 100
  }

  managed_rules {
    managed_rule_set {
      type    = "Microsoft_DefaultRuleSet"
      version = "2.1"
    }

    managed_rule_set {
      type    = "Microsoft_BotManagerRuleSet"
      version = "1.1"
    }
  }

  custom_rules {
    name                 = "RateLimit"
    priority             = 10
    rule_type            = "RateLimitRule"
    action               = "Block"
    rate_limit_duration  = "OneMin"
    rate_limit_threshold = var.requests_a_minute
    group_rate_limit_by  = "ClientAddr"

    match_conditions {
      operator           = "IPMatch"
      negation_condition = true
      match_values       = ["192.0.2.0/24"]

      match_variables {
        variable_name = "RemoteAddr"
      }
    }
  }
}

resource "azurerm_monitor_diagnostic_setting" "this" {
  name                       = "edge"
  target_resource_id         = var.gateway_id
  log_analytics_workspace_id = var.workspace_id

  enabled_log {
    category_group = "allLogs"
  }

  enabled_metric {
    category = "AllMetrics"
  }
}
