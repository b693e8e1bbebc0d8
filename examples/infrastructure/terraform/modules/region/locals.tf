locals {
  domain_label = "${var.context.project}-${var.context.environment}-${var.context.short_location}"

  # Azure hands out the low addresses of a subnet; these are high, and stay with their service.
  addresses = {
    for name, service in var.services : name => {
      blue  = cidrhost(module.network.subnet_prefixes["services"], 4000 + 2 * service.slot)
      green = cidrhost(module.network.subnet_prefixes["services"], 4001 + 2 * service.slot)
    }
  }

  gateway = one(concat(
    [for gateway in module.envoy : { id = gateway.id, public_ip_id = gateway.public_ip_id, fqdn = gateway.fqdn }],
    [for gateway in module.appgw_flip : { id = gateway.id, public_ip_id = gateway.public_ip_id, fqdn = gateway.fqdn }],
    [for gateway in module.appgw_mixed : { id = gateway.id, public_ip_id = gateway.public_ip_id, fqdn = gateway.fqdn }],
  ))
}
