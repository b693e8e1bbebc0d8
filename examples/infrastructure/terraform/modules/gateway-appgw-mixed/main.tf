# A lesser gateway without Envoys: both colours of a service are members of one pool, and their share is their share of instances.
#
# 1 of 10 instances is 10 %, and that is how fine it goes. Bleen decides who is a member: it writes the pool into the network interface
# of a machine that is ready, and takes it out before the machine ends. That is no part of this document, so that `apply` and Bleen
# change nothing of each other's, and a service that is added later has its rule and its pool by the next apply.
#
# Canaries are measured by what Azure Monitor counts of each machine, minutes later: say reads_metrics in the module identity.

module "edge" {
  source = "../edge"

  context       = var.context
  gateway_id    = azurerm_application_gateway.this.id
  domain_label  = var.domain_label
  zones         = var.zones
  firewall_mode = var.firewall_mode
  workspace_id  = var.workspace_id
}

resource "azurerm_application_gateway" "this" {
  name                              = "agw-mixed-${local.suffix}"
  location                          = var.context.location
  resource_group_name               = var.context.resource_group
  zones                             = var.zones
  http2_enabled                     = true
  firewall_policy_id                = module.edge.firewall_policy_id
  force_firewall_policy_association = true
  tags                              = var.context.tags

  sku {
    name = "WAF_v2"
    tier = "WAF_v2"
  }

  autoscale_configuration {
    min_capacity = var.edge_capacity.minimum
    max_capacity = var.edge_capacity.maximum
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [var.identity_ids.edge]
  }

  ssl_policy {
    policy_type = "Predefined"
    policy_name = "AppGwSslPolicy20220101S"
  }

  ssl_certificate {
    name                = "public"
    key_vault_secret_id = var.certificate_secret_id
  }

  gateway_ip_configuration {
    name      = "edge"
    subnet_id = var.subnet_ids.edge
  }

  frontend_ip_configuration {
    name                 = "public"
    public_ip_address_id = module.edge.public_ip_id
  }

  frontend_port {
    name = "https"
    port = 443
  }

  # Empty here: its members are network interfaces, which name it themselves.
  dynamic "backend_address_pool" {
    for_each = var.services

    content {
      name = backend_address_pool.key
    }
  }

  dynamic "probe" {
    for_each = var.services

    content {
      name                = probe.key
      protocol            = "Http"
      host                = probe.value.host
      path                = probe.value.health_path
      interval            = 5
      timeout             = 4
      unhealthy_threshold = 2

      match {
        status_code = ["200"]
      }
    }
  }

  dynamic "backend_http_settings" {
    for_each = var.services

    content {
      name                  = backend_http_settings.key
      protocol              = "Http"
      port                  = backend_http_settings.value.port
      cookie_based_affinity = "Disabled"
      request_timeout       = 3600
      probe_name            = backend_http_settings.key

      connection_draining {
        enabled           = true
        drain_timeout_sec = 300
      }
    }
  }

  dynamic "http_listener" {
    for_each = var.services

    content {
      name                           = http_listener.key
      frontend_ip_configuration_name = "public"
      frontend_port_name             = "https"
      protocol                       = "Https"
      host_name                      = http_listener.value.host
      ssl_certificate_name           = "public"
    }
  }

  dynamic "request_routing_rule" {
    for_each = var.services

    content {
      name                       = request_routing_rule.key
      rule_type                  = "Basic"
      priority                   = 100 + index(sort(keys(var.services)), request_routing_rule.key)
      http_listener_name         = request_routing_rule.key
      backend_address_pool_name  = request_routing_rule.key
      backend_http_settings_name = request_routing_rule.key
    }
  }
}
