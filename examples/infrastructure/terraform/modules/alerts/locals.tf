locals {
  gateways = {
    for name, id in var.gateways : name => {
      "${name}-unhealthy" = {
        scope       = id, namespace = "Microsoft.Network/applicationGateways", metric = "UnhealthyHostCount"
        aggregation = "Average", operator = "GreaterThan", threshold = 0, window = "PT5M", severity = 1
        what        = "A backend of the edge does not answer its probe: look at the Envoys, or at the colour that serves"
      }
      "${name}-failing" = {
        scope       = id, namespace = "Microsoft.Network/applicationGateways", metric = "FailedRequests"
        aggregation = "Total", operator = "GreaterThan", threshold = var.failed_requests, window = "PT5M", severity = 1
        what        = "Requests fail at the edge: bleen status says whether a rollout is under way"
      }
      "${name}-capacity" = {
        scope       = id, namespace = "Microsoft.Network/applicationGateways", metric = "CapacityUnits"
        aggregation = "Average", operator = "GreaterThan", threshold = var.capacity_units, window = "PT15M", severity = 2
        what        = "The edge is three quarters full: raise edge_capacity"
      }
    }
  }

  balancers = {
    for name, id in var.load_balancers : name => {
      "${name}-probes" = {
        scope       = id, namespace = "Microsoft.Network/loadBalancers", metric = "DipAvailability"
        aggregation = "Average", operator = "LessThan", threshold = 90, window = "PT5M", severity = 2
        what        = "More than one in ten probes of instances fail"
      }
      "${name}-path" = {
        scope       = id, namespace = "Microsoft.Network/loadBalancers", metric = "VipAvailability"
        aggregation = "Average", operator = "LessThan", threshold = 99, window = "PT5M", severity = 1
        what        = "The address itself is not reached: a fault of Azure's network or an empty pool"
      }
    }
  }

  databases = {
    for name, id in var.databases : name => {
      "${name}-storage" = {
        scope       = id, namespace = "Microsoft.DBforPostgreSQL/flexibleServers", metric = "storage_percent"
        aggregation = "Average", operator = "GreaterThan", threshold = 80, window = "PT15M", severity = 1
        what        = "At 95 % the ledger becomes read-only. A replica that is gone keeps the log: end its replication"
      }
      "${name}-alive" = {
        scope       = id, namespace = "Microsoft.DBforPostgreSQL/flexibleServers", metric = "is_db_alive"
        aggregation = "Maximum", operator = "LessThan", threshold = 1, window = "PT5M", severity = 0
        what        = "The ledger does not answer. Traffic flows; nothing can be deployed"
      }
      "${name}-lag" = {
        scope       = id, namespace = "Microsoft.DBforPostgreSQL/flexibleServers", metric = "physical_replication_delay_in_bytes"
        aggregation = "Maximum", operator = "GreaterThan", threshold = 1073741824, window = "PT15M", severity = 2
        what        = "The replica is more than 1 GiB behind: that much would be lost with the region"
      }
    }
  }

  alerts = merge(flatten([values(local.gateways), values(local.balancers), values(local.databases)])...)
}
