# The recipe @IMAGE@ as an image of a machine: Debian's own, with the base of the recipe in it, put into a gallery as one version.
# Rendered by `bleen image packer @IMAGE@` from the recipe and its lock: change those, and render it again.
#
# Signing in: `az login --service-principal --federated-token` in the pipeline; no secret is an argument here.

source "azure-arm" "machine" {
  use_azure_cli_auth = true
  subscription_id    = var.subscription_id

  build_resource_group_name = var.build_resource_group
  vm_size                   = var.size
  os_type                   = "Linux"
  os_disk_size_gb           = 30

  # Pinned: the same input makes the same image, and an upgrade is a change that somebody makes.
  image_publisher = "Debian"
  image_offer     = "debian-@RELEASE@"
  image_sku       = "@RELEASE@-gen2"
  image_version   = var.base_version

  ssh_username = "packer"
  ssh_timeout  = "10m"

  managed_image_name                = "@IMAGE@-${var.version}"
  managed_image_resource_group_name = var.build_resource_group

  shared_image_gallery_destination {
    subscription        = var.subscription_id
    resource_group      = var.gallery_resource_group
    gallery_name        = var.gallery
    image_name          = "@IMAGE@"
    image_version       = var.version
    replication_regions = var.regions
  }
  shared_image_gallery_timeout = "90m"

  azure_tags = {
    recipe  = "@IMAGE@"
    lock    = "@LOCK@"
    version = var.version
    base    = var.base_version
  }
}

build {
  sources = ["source.azure-arm.machine"]

  provisioner "file" {
    source      = "${path.root}/inputs"
    destination = "/tmp"
  }

  provisioner "shell" {
    execute_command = "chmod +x {{ .Path }}; {{ .Vars }} sudo -E sh '{{ .Path }}'"
    environment_vars = [
      "DEBIAN_FRONTEND=noninteractive",
      "INPUTS=/tmp/inputs",
      "PACKAGES=/tmp/packages",
      "ROOT=/opt/bleen/bases/@IMAGE@",
    ]
    scripts = [
      "${path.root}/scripts/patch.sh",
      "${path.root}/scripts/fetch.sh",
      "${path.root}/scripts/unpack.sh",
      "${path.root}/scripts/finish.sh",
      "${path.root}/scripts/harden.sh",
      "${path.root}/scripts/compile.sh",
      "${path.root}/scripts/generalise.sh",
    ]
  }

  post-processor "manifest" {
    output     = "packer-manifest.json"
    strip_path = true
  }
}
