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
  tenant_id    = "00000000-0000-0000-0000-000000000000"
  controller   = { principal_id = "p", name = "id-controller" }
  network      = { subnet_id = "/subscriptions/s/subnet", private_zone_id = "/subscriptions/s/zone" }
  workspace_id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w"
}

run "one_region" {
  command = plan

  assert {
    condition     = length(azurerm_postgresql_flexible_server.replica) == 0 && length(azurerm_postgresql_flexible_server.primary.high_availability) == 1
    error_message = "A ledger in one region has a standby and no replica."
  }

  assert {
    condition     = !azurerm_postgresql_flexible_server.primary.authentication[0].password_auth_enabled
    error_message = "Somebody can sign in by password."
  }
}

run "two_regions" {
  command = plan

  variables {
    replica = {
      location        = "northeurope"
      short_location  = "neu"
      resource_group  = "rg-shop-dev-neu"
      subnet_id       = "/subscriptions/s/subnet-neu"
      private_zone_id = "/subscriptions/s/zone-neu"
    }
  }

  assert {
    condition     = azurerm_postgresql_flexible_server.replica[0].create_mode == "Replica" && azurerm_postgresql_flexible_server.replica[0].location == "northeurope"
    error_message = "The replica is not in the other region."
  }

  assert {
    condition     = output.host == "ledger-shop-dev.writer.postgres.database.azure.com"
    error_message = "The controller does not connect by the name that follows the writer."
  }
}

run "backups_beyond_what_azure_keeps_are_refused" {
  command = plan

  variables {
    backup_days = 90
  }

  expect_failures = [var.backup_days]
}
