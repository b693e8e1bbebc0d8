locals {
  # A /16 makes 256 networks of /24; the gateway subnet of Application Gateway WAF_v2 needs a /24 to scale to 125 instances.
  subnets = {
    edge      = cidrsubnet(var.address_space, 8, 0)
    gateway   = cidrsubnet(var.address_space, 8, 1)
    control   = cidrsubnet(var.address_space, 8, 2)
    endpoints = cidrsubnet(var.address_space, 8, 3)
    services  = cidrsubnet(var.address_space, 4, 1)
  }

  private_zones = {
    blob     = "privatelink.blob.core.windows.net"
    vault    = "privatelink.vaultcore.azure.net"
    postgres = "privatelink.postgres.database.azure.com"
  }

  probes = { priority = 110, ports = "*", source = "AzureLoadBalancer", why = "Probes of the load balancer" }

  # With the modes that have no Envoy tier, the edge is what speaks to the services.
  to_services = var.gateway_mode == "envoy" ? "gateway" : "edge"

  allowed = {
    edge = {
      "allow-https"           = { priority = 100, ports = "443", source = "Internet", why = "Users, by TLS" }
      "allow-probes"          = local.probes
      "allow-gateway-manager" = { priority = 120, ports = "65200-65535", source = "GatewayManager", why = "Azure requires it of Application Gateway v2" }
    }
    gateway = {
      "allow-edge"    = { priority = 100, ports = tostring(var.gateway_port), source = local.subnets.edge, why = "Requests from the edge" }
      "allow-probes"  = local.probes
      "allow-control" = { priority = 120, ports = tostring(var.gateway_port), source = local.subnets.control, why = "Checks of the controller" }
    }
    services = {
      "allow-gateway" = { priority = 100, ports = tostring(var.service_port), source = local.subnets[local.to_services], why = "Requests from the gateways" }
      "allow-probes"  = local.probes
      "allow-control" = { priority = 120, ports = tostring(var.service_port), source = local.subnets.control, why = "Checks of the controller" }
    }
    control = {
      "allow-probes" = local.probes
    }
    endpoints = {
      "allow-region" = { priority = 100, ports = "443", source = var.address_space, why = "Storage and Key Vault, by TLS" }
      "allow-ledger" = { priority = 110, ports = "5432", source = local.subnets.control, why = "The controller's ledger" }
    }
  }
}
