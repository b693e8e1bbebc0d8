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
  address_space = "10.10.0.0/16"
}

run "every_subnet_denies_what_is_not_named" {
  command = plan

  assert {
    condition = alltrue([
      for group in azurerm_network_security_group.this :
      anytrue([for rule in group.security_rule : rule.access == "Deny" && rule.priority == 4096 && rule.source_address_prefix == "*"])
    ])
    error_message = "A security group has no rule that denies the rest."
  }

  assert {
    condition     = toset(keys(azurerm_subnet_network_security_group_association.this)) == toset(keys(azurerm_subnet.this))
    error_message = "A subnet has no security group."
  }
}

run "only_the_edge_is_open_to_the_internet" {
  command = plan

  assert {
    condition = toset([
      for name, group in azurerm_network_security_group.this : name
      if anytrue([for rule in group.security_rule : rule.access == "Allow" && contains(["Internet", "*"], rule.source_address_prefix)])
    ]) == toset(["edge"])
    error_message = "More than the edge lets the internet in."
  }
}

run "the_controller_checks_where_the_envoys_answer" {
  command = plan

  assert {
    condition     = anytrue([for rule in azurerm_network_security_group.this["gateway"].security_rule : rule.source_address_prefix == "10.10.2.0/24" && rule.destination_port_range == "8080"])
    error_message = "The controller does not reach the Envoys."
  }
}

run "without_envoys_the_edge_speaks_to_the_services" {
  command = plan

  variables {
    gateway_mode = "appgw-flip"
  }

  assert {
    condition     = anytrue([for rule in azurerm_network_security_group.this["services"].security_rule : rule.source_address_prefix == "10.10.0.0/24"])
    error_message = "Application Gateway does not reach the services."
  }
}

run "a_range_that_cannot_be_divided_is_refused" {
  command = plan

  variables {
    address_space = "10.10.0.0/20"
  }

  expect_failures = [var.address_space]
}
