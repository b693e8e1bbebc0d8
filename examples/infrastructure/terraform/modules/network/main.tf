# One virtual network for a region: private subnets, security groups that deny what is not named, one way out.

resource "azurerm_virtual_network" "this" {
  name                = "vnet-${local.suffix}"
  location            = var.context.location
  resource_group_name = var.context.resource_group
  address_space       = [var.address_space]
  tags                = var.context.tags

  encryption {
    enforcement = "AllowUnencrypted"
  }
}

resource "azurerm_subnet" "this" {
  for_each = local.subnets

  name                              = "snet-${each.key}-${local.suffix}"
  resource_group_name               = var.context.resource_group
  virtual_network_name              = azurerm_virtual_network.this.name
  address_prefixes                  = [each.value]
  default_outbound_access_enabled   = false
  private_endpoint_network_policies = "Enabled"
}

resource "azurerm_network_security_group" "this" {
  for_each = local.subnets

  name                = "nsg-${each.key}-${local.suffix}"
  location            = var.context.location
  resource_group_name = var.context.resource_group
  tags                = var.context.tags

  dynamic "security_rule" {
    for_each = local.allowed[each.key]

    content {
      name                       = security_rule.key
      description                = security_rule.value.why
      priority                   = security_rule.value.priority
      direction                  = "Inbound"
      access                     = "Allow"
      protocol                   = "Tcp"
      source_port_range          = "*"
      destination_port_range     = security_rule.value.ports
      source_address_prefix      = security_rule.value.source
      destination_address_prefix = "*"
    }
  }

  # Before Azure's own rule 65000, which would let in everything from the virtual network.
  security_rule {
    name                       = "deny-all-else"
    description                = "What is not named above does not come in"
    priority                   = 4096
    direction                  = "Inbound"
    access                     = "Deny"
    protocol                   = "*"
    source_port_range          = "*"
    destination_port_range     = "*"
    source_address_prefix      = "*"
    destination_address_prefix = "*"
  }
}

resource "azurerm_subnet_network_security_group_association" "this" {
  for_each = local.subnets

  subnet_id                 = azurerm_subnet.this[each.key].id
  network_security_group_id = azurerm_network_security_group.this[each.key].id
}

# A NAT gateway of the sku Standard is in one zone that Azure chooses: without that zone, nothing new goes out. What comes in,
# and what goes to private endpoints, does not depend on it.
resource "azurerm_public_ip" "outbound" {
  name                = "pip-nat-${local.suffix}"
  location            = var.context.location
  resource_group_name = var.context.resource_group
  allocation_method   = "Static"
  sku                 = "Standard"
  zones               = var.zones
  tags                = var.context.tags
}

resource "azurerm_nat_gateway" "this" {
  name                    = "ng-${local.suffix}"
  location                = var.context.location
  resource_group_name     = var.context.resource_group
  sku_name                = "Standard"
  idle_timeout_in_minutes = 10
  tags                    = var.context.tags
}

resource "azurerm_nat_gateway_public_ip_association" "this" {
  nat_gateway_id       = azurerm_nat_gateway.this.id
  public_ip_address_id = azurerm_public_ip.outbound.id
}

# Instances and gateways go out through it: packages of the agent, the metadata of tokens. The edge has an address of its own.
resource "azurerm_subnet_nat_gateway_association" "this" {
  for_each = toset(["gateway", "services", "control"])

  subnet_id      = azurerm_subnet.this[each.key].id
  nat_gateway_id = azurerm_nat_gateway.this.id
}

resource "azurerm_private_dns_zone" "this" {
  for_each = local.private_zones

  name                = each.value
  resource_group_name = var.context.resource_group
  tags                = var.context.tags
}

resource "azurerm_private_dns_zone_virtual_network_link" "this" {
  for_each = local.private_zones

  name                 = "link-${each.key}-${local.suffix}"
  private_dns_zone_id  = azurerm_private_dns_zone.this[each.key].id
  virtual_network_id   = azurerm_virtual_network.this.id
  registration_enabled = false
  tags                 = var.context.tags
}
