# Where images are kept. Terraform makes the gallery and the definitions; versions are written by Packer, one a build, never changed.

resource "azurerm_shared_image_gallery" "this" {
  name                = replace("gal_${local.suffix}", "-", "_")
  location            = var.context.location
  resource_group_name = var.context.resource_group
  description         = "Immutable images, one version a build; the digest of the recipe is a tag"
  tags                = var.context.tags
}

# Trusted launch is supported and not demanded: the provider's Flexible scale set cannot ask for it, and could not start from these.
resource "azurerm_shared_image" "this" {
  for_each = var.images

  name                                = each.key
  gallery_name                        = azurerm_shared_image_gallery.this.name
  location                            = var.context.location
  resource_group_name                 = var.context.resource_group
  description                         = each.value
  os_type                             = "Linux"
  architecture                        = "x64"
  hyper_v_generation                  = "V2"
  trusted_launch_supported            = true
  accelerated_network_support_enabled = true
  tags                                = var.context.tags

  identifier {
    publisher = var.context.project
    offer     = each.key
    sku       = "gen2"
  }
}

resource "azurerm_role_assignment" "publisher" {
  scope                = azurerm_shared_image_gallery.this.id
  role_definition_name = "Compute Gallery Artifacts Publisher"
  principal_id         = var.principal_ids.images
  principal_type       = "ServicePrincipal"
  description          = "The image pipeline adds versions"
}

# Packer starts a machine to make the image from: in a resource group of its own, so that it may do nothing to the fleets.
resource "azurerm_resource_group" "build" {
  name     = "rg-${var.context.project}-build-${var.context.environment}-${var.context.short_location}"
  location = var.context.location
  tags     = var.context.tags
}

resource "azurerm_role_assignment" "builder" {
  scope                = azurerm_resource_group.build.id
  role_definition_name = "Contributor"
  principal_id         = var.principal_ids.images
  principal_type       = "ServicePrincipal"
  description          = "Packer builds here, and nowhere else"
}

# A gallery with versions in it is what every fleet starts from.
resource "azurerm_management_lock" "this" {
  name       = "keep-images"
  scope      = azurerm_shared_image_gallery.this.id
  lock_level = "CanNotDelete"
  notes      = "Fleets start from these images; end them first"
}
