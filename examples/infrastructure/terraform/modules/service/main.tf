# Two long-lived fleets of one service, blue and green, and an address for each that never changes; with `baseline`, one more beside
# each, empty but while a canary is compared.
#
# Terraform makes the shell; Bleen decides which image runs in which colour and how many instances there are. What it decides is
# ignored below, so that `terraform apply` never undoes a deployment.

resource "azurerm_lb" "this" {
  name                = "lbi-${var.name}-${local.suffix}"
  location            = var.context.location
  resource_group_name = var.context.resource_group
  sku                 = "Standard"
  tags                = local.tags

  dynamic "frontend_ip_configuration" {
    for_each = var.addresses

    content {
      name                          = frontend_ip_configuration.key
      subnet_id                     = var.subnet_id
      private_ip_address_allocation = "Static"
      private_ip_address            = frontend_ip_configuration.value
      zones                         = var.zones
    }
  }
}

resource "azurerm_lb_backend_address_pool" "this" {
  for_each = var.addresses

  name            = each.key
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
  for_each = var.addresses

  name                           = each.key
  loadbalancer_id                = azurerm_lb.this.id
  protocol                       = "Tcp"
  frontend_port                  = var.port
  backend_port                   = var.port
  frontend_ip_configuration_name = each.key
  backend_address_pool_ids       = [azurerm_lb_backend_address_pool.this[each.key].id]
  probe_id                       = azurerm_lb_probe.this.id
  idle_timeout_in_minutes        = 15
  tcp_reset_enabled              = true
  disable_outbound_snat          = true
}

resource "azurerm_orchestrated_virtual_machine_scale_set" "this" {
  for_each = local.places

  name                        = "vmss-${var.name}-${each.key}-${local.suffix}"
  location                    = var.context.location
  resource_group_name         = var.context.resource_group
  platform_fault_domain_count = 1
  zones                       = var.zones
  zone_balance                = length(var.zones) > 1
  sku_name                    = var.size
  instances                   = each.key == "blue" ? var.instances.minimum : 0
  source_image_id             = var.image_id
  upgrade_mode                = "Manual"
  encryption_at_host_enabled  = true
  user_data_base64            = base64encode(jsonencode({ service = var.name, colour = each.key }))
  tags                        = merge(local.tags, { colour = each.key })

  os_profile {
    linux_configuration {
      admin_username                  = "bleen"
      disable_password_authentication = true
      computer_name_prefix            = "${var.name}-${each.key}-"
      # An image is replaced, never patched in place.
      patch_mode            = "ImageDefault"
      patch_assessment_mode = "ImageDefault"
      provision_vm_agent    = true

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
    network_security_group_id      = var.network_security_group_id
    tags                           = local.tags

    ip_configuration {
      name                                   = "internal"
      primary                                = true
      subnet_id                              = var.subnet_id
      load_balancer_backend_address_pool_ids = each.value.behind_address ? [azurerm_lb_backend_address_pool.this[each.key].id] : []
    }
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [var.identity_id]
  }

  # The guest in the image answers, on the machine itself: version 2.0 reads {"ApplicationHealthState": "Healthy"} in the body. An
  # answer without it is Unknown, and is repaired.
  extension {
    name                               = "health"
    publisher                          = "Microsoft.ManagedServices"
    type                               = "ApplicationHealthLinux"
    type_handler_version               = "2.0"
    auto_upgrade_minor_version_enabled = true

    settings = jsonencode({
      protocol          = "http"
      port              = local.guest.port
      requestPath       = local.guest.path
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

  # Time to finish what is being answered; deletions only.
  termination_notification {
    enabled = true
    timeout = var.drain_time
  }

  boot_diagnostics {}

  lifecycle {
    ignore_changes = [
      instances, source_image_id, user_data_base64, tags["release"], tags["digest"], tags["order"], tags["retiring"]
    ]
  }
}

resource "azurerm_monitor_autoscale_setting" "this" {
  for_each = var.addresses

  name                = "as-${var.name}-${each.key}-${local.suffix}"
  location            = var.context.location
  resource_group_name = var.context.resource_group
  target_resource_id  = azurerm_orchestrated_virtual_machine_scale_set.this[each.key].id
  enabled             = each.key == "blue"
  tags                = merge(local.tags, { colour = each.key })

  # Azure predicts from 7 days of this very scale set, CPU only, outwards only: worth something because the two sets live long.
  predictive {
    scale_mode      = var.predictive_scaling
    look_ahead_time = "PT10M"
  }

  profile {
    name = "default"

    capacity {
      default = var.instances.minimum
      minimum = var.instances.minimum
      maximum = var.instances.maximum
    }

    rule {
      metric_trigger {
        metric_name        = "Percentage CPU"
        metric_resource_id = azurerm_orchestrated_virtual_machine_scale_set.this[each.key].id
        time_grain         = "PT1M"
        statistic          = "Average"
        time_window        = "PT5M"
        time_aggregation   = "Average"
        operator           = "GreaterThan"
        threshold          = var.cpu_percent.out
      }

      scale_action {
        direction = "Increase"
        type      = "PercentChangeCount"
        value     = 50
        cooldown  = "PT3M"
      }
    }

    rule {
      metric_trigger {
        metric_name        = "Percentage CPU"
        metric_resource_id = azurerm_orchestrated_virtual_machine_scale_set.this[each.key].id
        time_grain         = "PT1M"
        statistic          = "Average"
        time_window        = "PT15M"
        time_aggregation   = "Average"
        operator           = "LessThan"
        threshold          = var.cpu_percent.in
      }

      scale_action {
        direction = "Decrease"
        type      = "ChangeCount"
        value     = 1
        cooldown  = "PT10M"
      }
    }
  }

  # The idle colour must not scale itself: the controller turns the setting on with the colour that serves.
  lifecycle {
    ignore_changes = [enabled, profile[0].capacity]
  }
}

resource "azurerm_monitor_diagnostic_setting" "balancer" {
  name                       = "metrics"
  target_resource_id         = azurerm_lb.this.id
  log_analytics_workspace_id = var.workspace_id

  enabled_metric {
    category = "AllMetrics"
  }
}

resource "azurerm_monitor_diagnostic_setting" "autoscale" {
  for_each = var.addresses

  name                       = "decisions"
  target_resource_id         = azurerm_monitor_autoscale_setting.this[each.key].id
  log_analytics_workspace_id = var.workspace_id

  enabled_log {
    category_group = "allLogs"
  }
}

resource "azurerm_monitor_data_collection_rule_association" "this" {
  for_each = local.places

  name                    = "guest"
  target_resource_id      = azurerm_orchestrated_virtual_machine_scale_set.this[each.key].id
  data_collection_rule_id = var.collection_rule_id
}
