# What cannot be done here, whoever tries: Azure refuses it, not a reviewer.

# Version numbers are not enough: a machine may start from this gallery and from nothing else.
resource "azurerm_policy_definition" "images" {
  name         = "images-${local.suffix}"
  policy_type  = "Custom"
  mode         = "Indexed"
  display_name = "Machines start from images of the gallery"
  description  = "Refuses machines and scale sets whose image is not a version in one of the named galleries"

  metadata = jsonencode({ category = "Compute", version = "1.0.0" })

  parameters = jsonencode({
    galleries = { type = "Array", metadata = { displayName = "Ids of galleries, each with a star at its end" } }
  })

  policy_rule = jsonencode({
    "if" = {
      allOf = [
        {
          field = "type"
          "in"  = ["Microsoft.Compute/virtualMachines", "Microsoft.Compute/virtualMachineScaleSets"]
        },
        {
          count = {
            value = "[parameters('galleries')]"
            name  = "gallery"
            where = { field = "Microsoft.Compute/imageId", like = "[current('gallery')]" }
          }
          equals = 0
        },
      ]
    }
    "then" = { effect = "deny" }
  })
}

resource "azurerm_resource_group_policy_assignment" "images" {
  name                 = "only-gallery-images"
  resource_group_id    = var.resource_group_id
  policy_definition_id = azurerm_policy_definition.images.id
  display_name         = "Machines start from images of the gallery"
  enforce              = var.enforce

  parameters = jsonencode({ galleries = { value = ["${var.gallery_id}/*"] } })

  non_compliance_message {
    content = "Machines start from a version in ${var.gallery_id}: build it with Packer, then name it by its version."
  }
}

resource "azurerm_resource_group_policy_assignment" "builtin" {
  for_each = local.builtin

  name                 = each.key
  resource_group_id    = var.resource_group_id
  policy_definition_id = "/providers/Microsoft.Authorization/policyDefinitions/${each.value.id}"
  display_name         = each.value.what
  enforce              = var.enforce
  parameters           = each.value.parameters

  non_compliance_message {
    content = each.value.instead
  }
}

resource "azurerm_resource_group_policy_assignment" "tags" {
  for_each = toset(var.required_tags)

  name                 = "tag-${each.key}"
  resource_group_id    = var.resource_group_id
  policy_definition_id = "/providers/Microsoft.Authorization/policyDefinitions/871b6d14-10aa-478d-b590-94f262ecfa99"
  display_name         = "Everything has the tag ${each.key}"
  enforce              = var.enforce_tags
  parameters           = jsonencode({ tagName = { value = each.key } })

  non_compliance_message {
    content = "The tag ${each.key} says whose this is: give it."
  }
}
