# An image of a machine, built in Azure and put into the gallery as one version. Nothing is built twice under one version: the
# gallery refuses a version that is there.
#
# Signing in: `az login --service-principal --federated-token` in the pipeline; no secret is an argument here.

source "azure-arm" "machine" {
  use_azure_cli_auth = true
  subscription_id    = var.subscription_id

  # A machine of its own in a resource group of its own (output images of the environment): it can touch no fleet.
  build_resource_group_name = var.build_resource_group
  vm_size                   = var.size
  os_type                   = "Linux"
  os_disk_size_gb           = 30

  # Pinned: the same input makes the same image, and an upgrade is a change that somebody makes.
  image_publisher = "Debian"
  image_offer     = "debian-12"
  image_sku       = "12-gen2"
  image_version   = var.base_version

  ssh_username = "packer"
  ssh_timeout  = "10m"

  managed_image_name                = "${var.image}-${var.version}"
  managed_image_resource_group_name = var.build_resource_group

  shared_image_gallery_destination {
    subscription        = var.subscription_id
    resource_group      = var.gallery_resource_group
    gallery_name        = var.gallery
    image_name          = var.image
    image_version       = var.version
    replication_regions = var.regions
  }
  shared_image_gallery_timeout = "90m"

  # What is verified before an instance starts from the version: the digest of the recipe, and who signed it.
  azure_tags = {
    project   = var.project
    image     = var.image
    version   = var.version
    digest    = var.digest
    signature = var.signature
    stands_on = var.stands_on
    base      = var.base_version
    revision  = var.revision
  }
}

build {
  sources = ["source.azure-arm.machine"]

  # What keeps the instance on every machine: `wheels.sh` makes the archive.
  provisioner "file" {
    source      = var.guest
    destination = "/tmp/guest.tar"
  }

  provisioner "file" {
    source      = "${path.root}/bleen-guest.service"
    destination = "/tmp/bleen-guest.service"
  }

  # The image that `bleen image build` made, with the digest that it must have.
  provisioner "file" {
    source      = var.payload
    destination = "/tmp/payload.tar"
  }

  provisioner "shell" {
    execute_command  = "chmod +x {{ .Path }}; {{ .Vars }} sudo -E sh '{{ .Path }}'"
    environment_vars = ["BLEEN_PART=guest", "BLEEN_SHA256=${var.guest_sha256}", "PAYLOAD_SHA256=${var.payload_sha256}", "DEBIAN_FRONTEND=noninteractive"]
    scripts = [
      "${path.root}/scripts/patch.sh",
      "${path.root}/scripts/bleen.sh",
      "${path.root}/scripts/install.sh",
      "${path.root}/scripts/generalise.sh",
    ]
  }

  post-processor "manifest" {
    output     = "packer-manifest.json"
    strip_path = true
  }
}
