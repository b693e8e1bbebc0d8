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
  resource_group_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-shop-dev-weu"
  gallery_id        = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/gal"
  allowed_locations = ["westeurope"]
}

run "machines_start_from_the_gallery_alone" {
  command = plan

  assert {
    condition     = jsondecode(azurerm_policy_definition.images.policy_rule).then.effect == "deny"
    error_message = "Another image is not refused."
  }

  assert {
    condition     = jsondecode(azurerm_resource_group_policy_assignment.images.parameters).galleries.value == ["${var.gallery_id}/*"]
    error_message = "Other galleries are allowed."
  }
}

run "policies_are_enforced_and_tags_are_reported_unless_said_otherwise" {
  command = plan

  assert {
    condition     = alltrue([for a in concat(values(azurerm_resource_group_policy_assignment.builtin), [azurerm_resource_group_policy_assignment.images]) : a.enforce])
    error_message = "A policy only reports."
  }

  assert {
    condition     = !anytrue([for a in azurerm_resource_group_policy_assignment.tags : a.enforce])
    error_message = "What Azure makes itself, without tags, would be refused."
  }
}
