output "id" {
  description = "The gallery."
  value       = azurerm_shared_image_gallery.this.id
}

output "name" {
  description = "Its name, for Packer."
  value       = azurerm_shared_image_gallery.this.name
}

output "image_ids" {
  description = "The definitions; a version is at <id>/versions/<version>."
  value       = { for name, image in azurerm_shared_image.this : name => image.id }
}

output "build_resource_group" {
  description = "Where Packer builds."
  value       = azurerm_resource_group.build.name
}
