# A lesser gateway without Envoys: Application Gateway sends all of a service to one colour, and a deployment changes the rule.
#
# 0 or 100 % and nothing between; the switch takes as long as Azure takes to update a gateway, and connections that outlive the
# drain time are cut. Use it where about three small machines for Envoy are too many. Bleen flips the rules, by reading the whole
# gateway and sending it back under its etag; two rules, two pools and the names below are what it looks for.
#
# What a release answered is what Azure Monitor counts of its pool, minutes later: say reads_metrics in the module identity.

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
  name                              = "agw-flip-${local.suffix}"
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

  frontend_ip_configuration {
    name                          = "internal"
    subnet_id                     = var.subnet_ids.edge
    private_ip_address_allocation = "Static"
    private_ip_address            = var.preview_address
  }

  frontend_port {
    name = "https"
    port = 443
  }

  frontend_port {
    name = "preview"
    port = 8443
  }

  # Two pools a service, each with the one address of a colour.
  dynamic "backend_address_pool" {
    for_each = local.pools

    content {
      name         = backend_address_pool.key
      ip_addresses = [backend_address_pool.value.address]
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

  # Azure probes only pools that a listener uses: without this one, nobody would know whether green is well before the switch.
  dynamic "http_listener" {
    for_each = var.services

    content {
      name                           = "${http_listener.key}-preview"
      frontend_ip_configuration_name = "internal"
      frontend_port_name             = "preview"
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
      priority                   = 100 + 2 * index(sort(keys(var.services)), request_routing_rule.key)
      http_listener_name         = request_routing_rule.key
      backend_address_pool_name  = "${request_routing_rule.key}-blue"
      backend_http_settings_name = request_routing_rule.key
    }
  }

  dynamic "request_routing_rule" {
    for_each = var.services

    content {
      name                       = "${request_routing_rule.key}-preview"
      rule_type                  = "Basic"
      priority                   = 101 + 2 * index(sort(keys(var.services)), request_routing_rule.key)
      http_listener_name         = "${request_routing_rule.key}-preview"
      backend_address_pool_name  = "${request_routing_rule.key}-green"
      backend_http_settings_name = request_routing_rule.key
    }
  }

  # The rules are the controller's: an apply must not switch traffic. A new service needs its two rules added once by hand.
  lifecycle {
    ignore_changes = [request_routing_rule]
  }
}
