# Who may do what. No secret anywhere: machines have managed identities, GitLab's pipelines prove themselves by their own tokens.

resource "azurerm_user_assigned_identity" "this" {
  for_each = local.roles

  name                = "id-${each.key}-${local.suffix}"
  location            = var.context.location
  resource_group_name = var.context.resource_group
  tags                = var.context.tags
}

# The controller changes fleets, the rules of a gateway that flips, and the interfaces that enter a pool of one that mixes: Azure has no
# right to less than all of a gateway, or of an interface. It cannot read a disk, open a console, change a network, a policy or a role.
resource "azurerm_role_definition" "controller" {
  name              = "Bleen controller ${local.suffix}"
  description       = "Start, scale, drain and end fleets; read what is there."
  scope             = var.resource_group_ids[var.context.short_location]
  assignable_scopes = values(var.resource_group_ids)

  permissions {
    actions = [
      "Microsoft.Compute/galleries/images/read",
      "Microsoft.Compute/galleries/images/versions/read",
      "Microsoft.Compute/virtualMachineScaleSets/read",
      "Microsoft.Compute/virtualMachineScaleSets/write",
      "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/read",
      "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/instanceView/read",
      "Microsoft.Compute/virtualMachines/read",
      "Microsoft.Compute/virtualMachines/write",
      "Microsoft.Compute/virtualMachines/delete",
      "Microsoft.Compute/virtualMachines/instanceView/read",
      "Microsoft.Compute/diskEncryptionSets/read",
      "Microsoft.Insights/AutoscaleSettings/Read",
      "Microsoft.Insights/AutoscaleSettings/Write",
      "Microsoft.Insights/Metrics/Read",
      "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
      "Microsoft.ManagedIdentity/userAssignedIdentities/read",
      "Microsoft.Network/applicationGateways/read",
      "Microsoft.Network/applicationGateways/write",
      "Microsoft.Network/applicationGateways/backendAddressPools/join/action",
      "Microsoft.Network/ApplicationGatewayWebApplicationFirewallPolicies/join/action",
      "Microsoft.Network/loadBalancers/read",
      "Microsoft.Network/loadBalancers/backendAddressPools/read",
      "Microsoft.Network/loadBalancers/backendAddressPools/write",
      "Microsoft.Network/loadBalancers/backendAddressPools/join/action",
      "Microsoft.Network/networkInterfaces/read",
      "Microsoft.Network/networkInterfaces/write",
      "Microsoft.Network/networkInterfaces/join/action",
      "Microsoft.Network/networkSecurityGroups/join/action",
      "Microsoft.Network/publicIPAddresses/join/action",
      "Microsoft.Network/virtualNetworks/subnets/join/action",
      "Microsoft.Resources/subscriptions/resourceGroups/read",
    ]
  }
}

resource "azurerm_role_assignment" "controller" {
  for_each = var.resource_group_ids

  scope              = each.value
  role_definition_id = azurerm_role_definition.controller.role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.this["controller"].principal_id
  principal_type     = "ServicePrincipal"
  description        = "Bleen deploys here"
}

# Azure Monitor answers for whole subscriptions: with this role on a gateway alone it refuses (Microsoft: Migrate to the getBatch API).
resource "azurerm_role_assignment" "metrics" {
  count = var.reads_metrics ? 1 : 0

  scope                = join("/", slice(split("/", var.resource_group_ids[var.context.short_location]), 0, 3))
  role_definition_name = "Monitoring Reader"
  principal_id         = azurerm_user_assigned_identity.this["controller"].principal_id
  principal_type       = "ServicePrincipal"
  description          = "Bleen measures canaries"
}

# Contributor cannot give roles. Whoever applies a change of roles is a person with the right to, not the pipeline.
resource "azurerm_role_assignment" "pipeline" {
  for_each = var.resource_group_ids

  scope                = each.value
  role_definition_name = "Contributor"
  principal_id         = azurerm_user_assigned_identity.this["pipeline"].principal_id
  principal_type       = "ServicePrincipal"
  description          = "GitLab applies this repository"
}

# GitLab signs a token for each job; Entra exchanges it where issuer, audience and subject are exactly these.
resource "azurerm_federated_identity_credential" "pipeline" {
  for_each = var.gitlab_refs

  name                      = "gitlab-${each.key}"
  user_assigned_identity_id = azurerm_user_assigned_identity.this["pipeline"].id
  issuer                    = var.gitlab_url
  audience                  = ["api://AzureADTokenExchange"]
  subject                   = "project_path:${var.gitlab_project}:ref_type:${each.value.type}:ref:${each.value.ref}"
}

resource "azurerm_federated_identity_credential" "images" {
  name                      = "gitlab-images"
  user_assigned_identity_id = azurerm_user_assigned_identity.this["images"].id
  issuer                    = var.gitlab_url
  audience                  = ["api://AzureADTokenExchange"]
  subject                   = "project_path:${var.gitlab_project}:ref_type:branch:ref:main"
}
