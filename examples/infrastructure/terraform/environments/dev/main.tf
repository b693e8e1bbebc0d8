# The environment dev. One region, one zone, as small as it works: to try changes of this repository itself.

data "azurerm_client_config" "current" {}

locals {
  regions = {
    weu = { location = "westeurope", address_space = "10.10.0.0/16" }
  }

  primary = "weu"

  contexts = {
    for short, region in local.regions : short => {
      project        = var.project
      environment    = "dev"
      location       = region.location
      short_location = short
      resource_group = "rg-${var.project}-dev-${short}"
      tags = {
        project       = var.project
        environment   = "dev"
        region        = short
        owner         = var.owner
        "cost-center" = var.cost_center
        "managed-by"  = "terraform"
      }
    }
  }

  services = {
    for name, service in {
      hello = { slot = 0, host = "hello.dev.example.com", instances = { minimum = 2, maximum = 4 } }
      } : name => merge(service, {
        image_id = "${module.gallery.image_ids[name]}/versions/${var.image_versions[name]}"
    })
  }
}

resource "azurerm_resource_group" "this" {
  for_each = local.contexts

  name     = each.value.resource_group
  location = each.value.location
  tags     = each.value.tags
}

module "identity" {
  source = "../../modules/identity"

  context            = merge(local.contexts[local.primary], { resource_group = azurerm_resource_group.this[local.primary].name })
  resource_group_ids = { for short, group in azurerm_resource_group.this : short => group.id }
  gitlab_project     = var.gitlab_project
}

module "monitoring" {
  source = "../../modules/monitoring"

  context           = merge(local.contexts[local.primary], { resource_group = azurerm_resource_group.this[local.primary].name })
  resource_group_id = azurerm_resource_group.this[local.primary].id
  locations         = { for short, group in azurerm_resource_group.this : short => { location = group.location, resource_group = group.name } }
  retention_days    = 30
  tell_emails       = var.tell_emails
  page_webhooks     = var.page_webhooks
  monthly_budget    = 900
}

module "gallery" {
  source = "../../modules/gallery"

  context       = merge(local.contexts[local.primary], { resource_group = azurerm_resource_group.this[local.primary].name })
  principal_ids = module.identity.principal_ids

  images = {
    gateway = "Debian, with Envoy and its agent"
    hello   = "Debian, with the guest and the service hello"
  }
}

module "primary" {
  source = "../../modules/region"

  context               = merge(local.contexts["weu"], { resource_group = azurerm_resource_group.this["weu"].name })
  resource_group_id     = azurerm_resource_group.this["weu"].id
  tenant_id             = data.azurerm_client_config.current.tenant_id
  address_space         = local.regions["weu"].address_space
  zones                 = ["1"]
  gateway_mode          = "envoy"
  edge_capacity         = { minimum = 0, maximum = 2 }
  certificate_secret_id = var.certificate_secret_id
  services              = local.services
  identities            = { ids = module.identity.ids, principal_ids = module.identity.principal_ids, client_ids = module.identity.client_ids }
  gallery_id            = module.gallery.id
  admin_public_key      = var.admin_public_key

  gateway = {
    image_id  = "${module.gallery.image_ids["gateway"]}/versions/${var.image_versions["gateway"]}"
    instances = 2
  }

  monitoring = {
    workspace_id       = module.monitoring.workspace_id
    collection_rule_id = module.monitoring.collection_rule_ids["weu"]
    action_group_ids   = module.monitoring.action_group_ids
  }
}

module "database" {
  source = "../../modules/database"

  context              = merge(local.contexts[local.primary], { resource_group = azurerm_resource_group.this[local.primary].name })
  tenant_id            = data.azurerm_client_config.current.tenant_id
  controller           = { principal_id = module.identity.principal_ids["controller"], name = module.identity.controller_name }
  network              = module.primary.endpoint
  size                 = "B_Standard_B2s"
  zone_redundant       = false
  geo_redundant_backup = false
  backup_days          = 7
  workspace_id         = module.monitoring.workspace_id
}

module "ledger_alerts" {
  source = "../../modules/alerts"

  context           = merge(local.contexts[local.primary], { short_location = "ledger", resource_group = azurerm_resource_group.this[local.primary].name })
  resource_group_id = azurerm_resource_group.this[local.primary].id
  action_group_ids  = module.monitoring.action_group_ids
  databases         = { ledger = module.database.id }
}

module "traffic" {
  source = "../../modules/traffic"

  context     = merge(local.contexts[local.primary], { resource_group = azurerm_resource_group.this[local.primary].name })
  health_host = local.services["hello"].host

  regions = {
    primary = { public_ip_id = module.primary.public_ip_id, priority = 1 }
  }
}

locals {
  outputs = { primary = module.primary }
}
