locals {
  # Microsoft's own definitions, by their ids, which are the same in every tenant.
  builtin = {
    "no-public-ip" = {
      id         = "83a86a26-fd1f-447c-b59d-e51f44264114"
      what       = "Network interfaces should not have public IPs"
      instead    = "Instances answer behind the gateways only: give no public address to a machine."
      parameters = null
    }
    "encryption-at-host" = {
      id         = "fc4d8e41-e223-45ea-9bf5-eada37891d87"
      what       = "Virtual machines and virtual machine scale sets should have encryption at host enabled"
      instead    = "Set encryption_at_host_enabled = true."
      parameters = jsonencode({ effect = { value = "Deny" } })
    }
    "locations" = {
      id         = "e56962a6-4747-49cd-b67b-bf8b01975c4c"
      what       = "Allowed locations"
      instead    = "This environment stands in ${join(" and ", var.allowed_locations)}."
      parameters = jsonencode({ listOfAllowedLocations = { value = concat(var.allowed_locations, ["global"]) } })
    }
  }
}
