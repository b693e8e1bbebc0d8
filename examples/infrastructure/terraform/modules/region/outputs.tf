output "public_ip_id" {
  description = "The public address of the edge."
  value       = local.gateway.public_ip_id
}

output "fqdn" {
  description = "Its name."
  value       = local.gateway.fqdn
}

output "endpoint" {
  description = "Where private endpoints of this region go, and the zone of PostgreSQL."
  value = {
    subnet_id       = module.network.subnet_ids["endpoints"]
    private_zone_id = module.network.private_zone_ids["postgres"]
  }
}

output "routes_container" {
  description = "Where the controller writes routes."
  value       = module.storage.routes_container
}

output "fleets" {
  description = "What Bleen is told of each service: scale sets, pools and addresses, by colour."
  value = {
    for name, service in module.service : name => {
      scale_sets = service.scale_set_ids
      pools      = service.backend_pool_ids
      backends   = service.backends
    }
  }
}

output "site" {
  description = "What Bleen is told of this region, as BLEEN_AZURE_SITE; gateway is empty with one that answers nowhere but at the public names."
  value = {
    environment   = var.context.environment
    region        = var.context.short_location
    subscription  = split("/", var.resource_group_id)[2]
    group         = var.context.resource_group
    suffix        = "${var.context.project}-${var.context.environment}-${var.context.short_location}"
    gallery       = split("/", var.gallery_id)[8]
    gallery_group = split("/", var.gallery_id)[4]
    location      = var.context.location
    account       = module.storage.account
    vault         = module.vault.uri
    gateway_mode  = var.gateway_mode
    gateway       = join("", module.envoy[*].url, module.appgw_flip[*].preview_url)
  }
}
