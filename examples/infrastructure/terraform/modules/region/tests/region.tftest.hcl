mock_provider "azurerm" {}

variables {
  context = {
    project        = "shop"
    environment    = "dev"
    location       = "westeurope"
    short_location = "weu"
    resource_group = "rg-shop-dev-weu"
    tags           = { project = "shop" }
  }
  resource_group_id     = "/subscriptions/s/resourceGroups/rg-shop-dev-weu"
  tenant_id             = "00000000-0000-0000-0000-000000000000"
  address_space         = "10.10.0.0/16"
  certificate_secret_id = "https://kv.vault.azure.net/secrets/public"
  gallery_id            = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/gal"
  admin_public_key      = "ssh-rsa A"

  gateway = {
    image_id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/gal/images/gateway/versions/1.0.0"
  }

  services = {
    hello = {
      slot     = 0
      host     = "hello.example.com"
      image_id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/gal/images/hello/versions/1.0.0"
    }
    shop = {
      slot     = 1
      host     = "shop.example.com"
      image_id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/gal/images/shop/versions/1.0.0"
    }
  }

  identities = {
    ids           = { for name in ["controller", "gateway", "service", "edge", "images", "pipeline", "disks"] : name => "/subscriptions/s/${name}" }
    principal_ids = { for name in ["controller", "gateway", "service", "edge", "images", "pipeline", "disks"] : name => "p-${name}" }
    client_ids    = { for name in ["controller", "gateway", "service", "edge", "images", "pipeline", "disks"] : name => "c-${name}" }
  }

  monitoring = {
    workspace_id       = "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w"
    collection_rule_id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Insights/dataCollectionRules/r"
    action_group_ids   = { page = "/subscriptions/s/page", tell = "/subscriptions/s/tell" }
  }
}

run "with_envoys" {
  command = plan

  assert {
    condition     = length(module.envoy) == 1 && length(module.appgw_flip) == 0 && length(module.appgw_mixed) == 0
    error_message = "There is not exactly one gateway."
  }

  assert {
    condition     = output.fleets["hello"].backends.blue == "10.10.31.160:8080" && output.fleets["shop"].backends.green == "10.10.31.163:8080"
    error_message = "The addresses of fleets have moved: every gateway would have to learn them anew."
  }
}

run "with_a_rule_that_flips" {
  command = plan

  variables {
    gateway_mode = "appgw-flip"
  }

  assert {
    condition     = length(module.appgw_flip) == 1 && length(module.envoy) == 0
    error_message = "There is not exactly one gateway."
  }

  assert {
    condition     = output.site.gateway == "https://10.10.0.250:8443"
    error_message = "A controller would not know where to ask the idle colour."
  }
}

run "with_one_mixed_pool" {
  command = plan

  variables {
    gateway_mode = "appgw-mixed"
  }

  assert {
    condition     = length(module.appgw_mixed) == 1 && length(module.envoy) == 0 && length(module.appgw_flip) == 0
    error_message = "There is not exactly one gateway."
  }

  assert {
    condition     = output.site.gateway_mode == "appgw-mixed" && output.site.gateway == ""
    error_message = "A controller would ask the idle colour somewhere, and it answers nowhere."
  }
}

run "a_slot_taken_twice_is_refused" {
  command = plan

  variables {
    services = {
      hello = { slot = 0, host = "a.example.com", image_id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/gal/images/a/versions/1.0.0" }
      shop  = { slot = 0, host = "b.example.com", image_id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/gal/images/b/versions/1.0.0" }
    }
  }

  expect_failures = [var.services]
}
