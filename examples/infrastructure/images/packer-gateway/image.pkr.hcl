# The image of the gateways' machines: Envoy and its agent, built in Azure and put into the gallery as one version. What an Envoy
# routes is no part of it: each machine is told where that is by its user data (the Terraform module gateway).
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

  managed_image_name                = "gateway-${var.version}"
  managed_image_resource_group_name = var.build_resource_group

  shared_image_gallery_destination {
    subscription        = var.subscription_id
    resource_group      = var.gallery_resource_group
    gallery_name        = var.gallery
    image_name          = "gateway"
    image_version       = var.version
    replication_regions = var.regions
  }
  shared_image_gallery_timeout = "90m"

  # No tag named digest: that is of images which fleets start from, and this is none.
  azure_tags = {
    project  = var.project
    image    = "gateway"
    version  = var.version
    envoy    = var.envoy_version
    archive  = var.gateway_sha256
    base     = var.base_version
    revision = var.revision
  }
}

build {
  sources = ["source.azure-arm.machine"]

  # Envoy, Bleen, and all that they need: `../packer/wheels.sh` makes the archive.
  provisioner "file" {
    source      = var.gateway
    destination = "/tmp/gateway.tar"
  }

  provisioner "file" {
    source      = "${path.root}/bleen-envoy.service"
    destination = "/tmp/bleen-envoy.service"
  }

  provisioner "file" {
    source      = "${path.root}/bleen-gateway-agent.service"
    destination = "/tmp/bleen-gateway-agent.service"
  }

  # What is the same for every machine is in the folder beside this one.
  provisioner "shell" {
    execute_command  = "chmod +x {{ .Path }}; {{ .Vars }} sudo -E sh '{{ .Path }}'"
    environment_vars = ["BLEEN_PART=gateway", "BLEEN_SHA256=${var.gateway_sha256}", "ENVOY_VERSION=${var.envoy_version}", "DEBIAN_FRONTEND=noninteractive"]
    scripts = [
      "${path.root}/../packer/scripts/patch.sh",
      "${path.root}/../packer/scripts/bleen.sh",
      "${path.root}/scripts/envoy.sh",
      "${path.root}/../packer/scripts/generalise.sh",
    ]
  }

  post-processor "manifest" {
    output     = "packer-manifest.json"
    strip_path = true
  }
}
