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
  resource_group_ids = { weu = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-shop-dev-weu" }
  gitlab_project     = "shop/deployments"
}

run "nothing_is_given_above_a_resource_group_unless_said" {
  command = plan

  assert {
    condition     = length(azurerm_role_assignment.metrics) == 0
    error_message = "The controller may read all of the subscription."
  }
}

run "metrics_are_read_by_a_role_on_the_subscription" {
  command = plan

  variables {
    reads_metrics = true
  }

  assert {
    condition     = azurerm_role_assignment.metrics[0].scope == "/subscriptions/00000000-0000-0000-0000-000000000000"
    error_message = "Azure Monitor refuses whoever has the role on less."
  }

  assert {
    condition     = azurerm_role_assignment.metrics[0].role_definition_name == "Monitoring Reader"
    error_message = "It is more than reading."
  }
}
