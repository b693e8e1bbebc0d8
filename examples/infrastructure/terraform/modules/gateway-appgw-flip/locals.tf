locals {
  pools = merge([
    for name, service in var.services : {
      "${name}-blue"  = { address = service.addresses.blue }
      "${name}-green" = { address = service.addresses.green }
    }
  ]...)
}
