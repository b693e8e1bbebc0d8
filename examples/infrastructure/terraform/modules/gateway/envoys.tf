# The tier that splits traffic: one Envoy and one agent on each instance, in every zone, behind one internal address.

resource "azurerm_lb" "this" {
  name                = "lbi-gateway-${local.suffix}"
  location            = var.context.location
  resource_group_name = var.context.resource_group
  sku                 = "Standard"
  tags                = var.context.tags

  frontend_ip_configuration {
    name                          = "gateway"
    subnet_id                     = var.subnet_ids.gateway
    private_ip_address_allocation = "Static"
    private_ip_address            = var.address
    zones                         = var.zones
  }
}

resource "azurerm_lb_backend_address_pool" "this" {
  name            = "gateway"
  loadbalancer_id = azurerm_lb.this.id
}

resource "azurerm_lb_probe" "this" {
  name                = "health"
  loadbalancer_id     = azurerm_lb.this.id
  protocol            = "Http"
  port                = var.port
  request_path        = var.health_path
  interval_in_seconds = 5
  probe_threshold     = 2
}

resource "azurerm_lb_rule" "this" {
  name                           = "gateway"
  loadbalancer_id                = azurerm_lb.this.id
  protocol                       = "Tcp"
  frontend_port                  = var.port
  backend_port                   = var.port
  frontend_ip_configuration_name = "gateway"
  backend_address_pool_ids       = [azurerm_lb_backend_address_pool.this.id]
  probe_id                       = azurerm_lb_probe.this.id
  idle_timeout_in_minutes        = 30
  tcp_reset_enabled              = true
  disable_outbound_snat          = true
}

# Instances are replaced one at a time by their new image: the tier never shrinks while it changes. Envoy keeps its last routes on
# disk, so an agent that cannot reach storage changes nothing.
resource "azurerm_orchestrated_virtual_machine_scale_set" "this" {
  name                        = "vmss-gateway-${local.suffix}"
  location                    = var.context.location
  resource_group_name         = var.context.resource_group
  platform_fault_domain_count = 1
  zones                       = var.zones
  zone_balance                = length(var.zones) > 1
  sku_name                    = var.size
  instances                   = var.instances
  source_image_id             = var.image_id
  upgrade_mode                = "Rolling"
  encryption_at_host_enabled  = true
  user_data_base64            = base64encode(jsonencode(local.agent))
  tags                        = merge(var.context.tags, { service = "gateway" })

  rolling_upgrade_policy {
    max_batch_instance_percent              = 34
    max_unhealthy_instance_percent          = 34
    max_unhealthy_upgraded_instance_percent = 0
    pause_time_between_batches              = "PT1M"
    cross_zone_upgrades_enabled             = false
    maximum_surge_instances_enabled         = true
    prioritize_unhealthy_instances_enabled  = true
  }

  os_profile {
    linux_configuration {
      admin_username                  = "bleen"
      disable_password_authentication = true
      computer_name_prefix            = "gateway-"
      patch_mode                      = "ImageDefault"
      patch_assessment_mode           = "ImageDefault"
      provision_vm_agent              = true

      admin_ssh_key {
        username   = "bleen"
        public_key = var.admin_public_key
      }
    }
  }

  os_disk {
    caching                = "ReadOnly"
    storage_account_type   = "Premium_LRS"
    disk_encryption_set_id = var.disk_encryption_set_id
  }

  network_interface {
    name                           = "nic"
    primary                        = true
    accelerated_networking_enabled = true
    tags                           = var.context.tags

    ip_configuration {
      name                                   = "internal"
      primary                                = true
      subnet_id                              = var.subnet_ids.gateway
      load_balancer_backend_address_pool_ids = [azurerm_lb_backend_address_pool.this.id]
    }
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [var.identity_ids.gateway]
  }

  # The agent answers, on the machine itself; it asks its Envoy what the load balancers' probes ask.
  extension {
    name                               = "health"
    publisher                          = "Microsoft.ManagedServices"
    type                               = "ApplicationHealthLinux"
    type_handler_version               = "2.0"
    auto_upgrade_minor_version_enabled = true

    settings = jsonencode({
      protocol          = "http"
      port              = var.agent_port
      requestPath       = "/health"
      intervalInSeconds = 5
      numberOfProbes    = 2
      gracePeriod       = 600
    })
  }

  automatic_instance_repair {
    enabled      = true
    action       = "Replace"
    grace_period = "PT10M"
  }

  termination_notification {
    enabled = true
    timeout = "PT10M"
  }

  boot_diagnostics {}
}

resource "azurerm_monitor_diagnostic_setting" "balancer" {
  name                       = "metrics"
  target_resource_id         = azurerm_lb.this.id
  log_analytics_workspace_id = var.workspace_id

  enabled_metric {
    category = "AllMetrics"
  }
}

resource "azurerm_monitor_data_collection_rule_association" "this" {
  name                    = "guest"
  target_resource_id      = azurerm_orchestrated_virtual_machine_scale_set.this.id
  data_collection_rule_id = var.collection_rule_id
}
