output "traffic_name" {
  description = "What the services' own names are aliases of (CNAME)."
  value       = module.traffic.fqdn
}

output "ledger_host" {
  description = "Where the ledger is: BLEEN_DATABASE_URL."
  value       = module.database.host
}

output "fleets" {
  description = "What Bleen is told of each region's fleets."
  value       = { for region, outputs in local.outputs : region => outputs.fleets }
}

output "routes" {
  description = "Where the controller writes each region's routes."
  value       = { for region, outputs in local.outputs : region => outputs.routes_container }
}

output "images" {
  description = "What Packer is told: gallery and where to build."
  value       = { gallery = module.gallery.name, build_resource_group = module.gallery.build_resource_group }
}

output "pipeline_client_id" {
  description = "What GitLab's jobs name when they ask for a token (ARM_CLIENT_ID)."
  value       = module.identity.client_ids["pipeline"]
}

output "sites" {
  description = "Each region as Bleen is told of it: BLEEN_AZURE_SITE is a file with one of them."
  value       = { for region, outputs in local.outputs : region => outputs.site }
}
