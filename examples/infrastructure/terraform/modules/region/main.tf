# Everything that a region has of its own. Two regions share identities, images, the ledger and a name, and nothing else: either one
# serves without the other.

module "network" {
  source = "../network"

  context       = var.context
  address_space = var.address_space
  zones         = var.zones
  gateway_mode  = var.gateway_mode
}

module "vault" {
  source = "../vault"

  context            = var.context
  tenant_id          = var.tenant_id
  identity_ids       = var.identities.ids
  principal_ids      = var.identities.principal_ids
  endpoint_subnet_id = module.network.subnet_ids["endpoints"]
  private_zone_id    = module.network.private_zone_ids["vault"]
  workspace_id       = var.monitoring.workspace_id
}

module "service" {
  source   = "../service"
  for_each = var.services

  context                = var.context
  name                   = each.key
  addresses              = local.addresses[each.key]
  subnet_id              = module.network.subnet_ids["services"]
  zones                  = var.zones
  size                   = each.value.size
  instances              = each.value.instances
  baseline               = each.value.baseline
  image_id               = each.value.image_id
  health_path            = each.value.health_path
  admin_public_key       = var.admin_public_key
  identity_id            = var.identities.ids["service"]
  disk_encryption_set_id = module.vault.disk_encryption_set_id
  workspace_id           = var.monitoring.workspace_id
  collection_rule_id     = var.monitoring.collection_rule_id
}

# What Bleen keeps, whichever gateway it drives.
module "storage" {
  source = "../storage"

  context            = var.context
  agents             = var.gateway_mode == "envoy"
  zones              = var.zones
  endpoint_subnet_id = module.network.subnet_ids["endpoints"]
  private_zone_id    = module.network.private_zone_ids["blob"]
  principal_ids      = var.identities.principal_ids
  workspace_id       = var.monitoring.workspace_id
}

# One of these three. The first is the one to use in production; docs/azure.md says what the other two cannot do.
module "envoy" {
  source = "../gateway"
  count  = var.gateway_mode == "envoy" ? 1 : 0

  context                = var.context
  domain_label           = local.domain_label
  certificate_secret_id  = var.certificate_secret_id
  subnet_ids             = module.network.subnet_ids
  zones                  = var.zones
  edge_capacity          = var.edge_capacity
  workspace_id           = var.monitoring.workspace_id
  address                = cidrhost(module.network.subnet_prefixes["gateway"], 250)
  instances              = var.gateway.instances
  size                   = var.gateway.size
  image_id               = var.gateway.image_id
  admin_public_key       = var.admin_public_key
  identity_ids           = var.identities.ids
  client_ids             = var.identities.client_ids
  account                = module.storage.account
  disk_encryption_set_id = module.vault.disk_encryption_set_id
  collection_rule_id     = var.monitoring.collection_rule_id
}

module "appgw_flip" {
  source = "../gateway-appgw-flip"
  count  = var.gateway_mode == "appgw-flip" ? 1 : 0

  context               = var.context
  domain_label          = local.domain_label
  certificate_secret_id = var.certificate_secret_id
  subnet_ids            = module.network.subnet_ids
  zones                 = var.zones
  edge_capacity         = var.edge_capacity
  workspace_id          = var.monitoring.workspace_id
  identity_ids          = var.identities.ids
  preview_address       = cidrhost(module.network.subnet_prefixes["edge"], 250)

  services = {
    for name, service in var.services : name => {
      host        = service.host
      port        = 8080
      health_path = service.health_path
      addresses   = local.addresses[name]
    }
  }
}

module "appgw_mixed" {
  source = "../gateway-appgw-mixed"
  count  = var.gateway_mode == "appgw-mixed" ? 1 : 0

  context               = var.context
  domain_label          = local.domain_label
  certificate_secret_id = var.certificate_secret_id
  subnet_ids            = module.network.subnet_ids
  zones                 = var.zones
  edge_capacity         = var.edge_capacity
  workspace_id          = var.monitoring.workspace_id
  identity_ids          = var.identities.ids
  services              = { for name, service in var.services : name => { host = service.host, port = 8080, health_path = service.health_path } }
}

module "alerts" {
  source = "../alerts"

  context           = var.context
  resource_group_id = var.resource_group_id
  action_group_ids  = var.monitoring.action_group_ids
  gateways          = { edge = local.gateway.id }
  capacity_units    = 0.75 * 10 * var.edge_capacity.maximum

  load_balancers = merge(
    { for name, service in module.service : name => service.load_balancer_id },
    { for gateway in module.envoy : "gateway" => gateway.load_balancer_id },
  )
}

module "policy" {
  source = "../policy"

  context           = var.context
  resource_group_id = var.resource_group_id
  gallery_id        = var.gallery_id
  allowed_locations = [var.context.location]
}
