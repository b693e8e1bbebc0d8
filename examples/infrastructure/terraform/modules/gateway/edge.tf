# TLS and the firewall. No deployment changes this: its one pool is the address of the Envoys.

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
  name                              = "agw-${local.suffix}"
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

  http_listener {
    name                           = "https"
    frontend_ip_configuration_name = "public"
    frontend_port_name             = "https"
    protocol                       = "Https"
    ssl_certificate_name           = "public"
  }

  backend_address_pool {
    name         = "envoys"
    ip_addresses = [var.address]
  }

  # The network encrypts what goes from here to the Envoys; drained connections are those of Envoys that leave.
  backend_http_settings {
    name                  = "envoys"
    protocol              = "Http"
    port                  = var.port
    cookie_based_affinity = "Disabled"
    request_timeout       = 3600
    probe_name            = "envoys"

    connection_draining {
      enabled           = true
      drain_timeout_sec = 300
    }
  }

  probe {
    name                = "envoys"
    protocol            = "Http"
    host                = "gateway.internal"
    path                = var.health_path
    interval            = 5
    timeout             = 4
    unhealthy_threshold = 2

    match {
      status_code = ["200"]
    }
  }

  request_routing_rule {
    name                       = "all"
    rule_type                  = "Basic"
    priority                   = 100
    http_listener_name         = "https"
    backend_address_pool_name  = "envoys"
    backend_http_settings_name = "envoys"
  }
}
