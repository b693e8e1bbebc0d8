mock_provider "azurerm" {}

variables {
  context = {
    project        = "shop"
    environment    = "dev"
    location       = "westeurope"
    short_location = "weu"
    resource_group = "rg-shop-dev-weu"
    tags           = { project = "shop" }
  }
  name                   = "hello"
  addresses              = { blue = "10.10.31.160", green = "10.10.31.161" }
  subnet_id              = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/services"
  image_id               = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/gal/images/hello/versions/1.0.0"
  admin_public_key       = "ssh-rsa A"
  identity_id            = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i"
  disk_encryption_set_id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/diskEncryptionSets/d"
  workspace_id           = "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w"
  collection_rule_id     = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Insights/dataCollectionRules/r"
}

run "two_colours_alike_but_for_their_address" {
  command = plan

  assert {
    condition     = toset(keys(azurerm_orchestrated_virtual_machine_scale_set.this)) == toset(["blue", "green"])
    error_message = "There are not exactly the two colours."
  }

  assert {
    condition     = length(distinct([for set in azurerm_orchestrated_virtual_machine_scale_set.this : [set.sku_name, set.zones, set.upgrade_mode]])) == 1
    error_message = "The colours differ: a release would be judged by its machines."
  }

  assert {
    condition     = length(distinct([for part in azurerm_lb.this.frontend_ip_configuration : part.private_ip_address])) == 2
    error_message = "The colours share an address."
  }
}

run "no_machine_enters_a_gateway_by_itself" {
  command = plan

  assert {
    condition = alltrue(flatten([
      for set in azurerm_orchestrated_virtual_machine_scale_set.this : [
        for nic in set.network_interface : [
          for place in nic.ip_configuration : length(coalesce(place.application_gateway_backend_address_pool_ids, [])) == 0
        ]
      ]
    ]))
    error_message = "Machines would have traffic as they start: before they are ready, and in both colours."
  }
}

run "the_health_extension_asks_the_guest" {
  command = plan

  assert {
    condition = alltrue([for set in azurerm_orchestrated_virtual_machine_scale_set.this : alltrue([
      for extension in set.extension : jsondecode(extension.settings).port == 8060 && jsondecode(extension.settings).requestPath == "/health"
    ])])
    error_message = "The extension asks somebody else than the guest: what a service answers is no word of Azure's."
  }
}

run "a_port_that_the_guest_has_is_refused" {
  command = plan

  variables {
    port = 8060
  }

  expect_failures = [var.port]
}

run "nothing_serves_from_the_idle_colour" {
  command = plan

  assert {
    condition     = azurerm_orchestrated_virtual_machine_scale_set.this["green"].instances == 0 && !azurerm_monitor_autoscale_setting.this["green"].enabled
    error_message = "The idle colour starts machines by itself."
  }
}

run "an_image_without_a_version_is_refused" {
  command = plan

  variables {
    image_id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/gal/images/hello/versions/latest"
  }

  expect_failures = [var.image_id]
}

run "scaling_that_would_flap_is_refused" {
  command = plan

  variables {
    cpu_percent = { out = 60, in = 45 }
  }

  expect_failures = [var.cpu_percent]
}

run "a_drain_time_that_azure_does_not_take_is_refused" {
  command = plan

  variables {
    drain_time = "PT20M"
  }

  expect_failures = [var.drain_time]
}

run "a_baseline_fleet_is_like_its_colour_and_behind_no_address" {
  command = plan

  variables {
    baseline = true
  }

  assert {
    condition     = toset(keys(azurerm_orchestrated_virtual_machine_scale_set.this)) == toset(["blue", "green", "blue-baseline", "green-baseline"])
    error_message = "There is not one baseline fleet beside each colour."
  }

  assert {
    condition     = length(distinct([for set in azurerm_orchestrated_virtual_machine_scale_set.this : [set.sku_name, set.zones, set.upgrade_mode]])) == 1
    error_message = "A baseline fleet differs from its colour: a release would be judged by its machines."
  }

  assert {
    condition     = azurerm_orchestrated_virtual_machine_scale_set.this["blue-baseline"].instances == 0 && azurerm_orchestrated_virtual_machine_scale_set.this["blue-baseline"].tags["colour"] == "blue-baseline"
    error_message = "A baseline fleet starts machines by itself, or is not found by its tag."
  }

  assert {
    condition     = length(azurerm_lb_backend_address_pool.this) == 2 && length(azurerm_monitor_autoscale_setting.this) == 2
    error_message = "A baseline fleet has an address or an autoscale of its own."
  }
}
