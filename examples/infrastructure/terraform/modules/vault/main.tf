# Secrets and the key of the disks of a region. Reached by a private endpoint, opened by roles alone.

resource "azurerm_key_vault" "this" {
  name                          = "kv-${substr(md5(local.suffix), 0, 6)}-${var.context.environment}-${var.context.short_location}"
  location                      = var.context.location
  resource_group_name           = var.context.resource_group
  tenant_id                     = var.tenant_id
  sku_name                      = "premium"
  rbac_authorization_enabled    = true
  enabled_for_disk_encryption   = true
  purge_protection_enabled      = true
  soft_delete_retention_days    = 90
  public_network_access_enabled = false
  tags                          = var.context.tags

  network_acls {
    bypass         = "AzureServices"
    default_action = "Deny"
  }
}

resource "azurerm_private_endpoint" "this" {
  name                = "pe-vault-${local.suffix}"
  location            = var.context.location
  resource_group_name = var.context.resource_group
  subnet_id           = var.endpoint_subnet_id
  tags                = var.context.tags

  private_service_connection {
    name                           = "vault"
    private_connection_resource_id = azurerm_key_vault.this.id
    subresource_names              = ["vault"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "vault"
    private_dns_zone_ids = [var.private_zone_id]
  }
}

# Azure makes a new version each year and the disks follow (auto_key_rotation_enabled below).
resource "azurerm_key_vault_key" "disks" {
  name            = "disks"
  key_vault_id    = azurerm_key_vault.this.id
  key_type        = "RSA-HSM"
  key_size        = 3072
  key_opts        = ["wrapKey", "unwrapKey"]
  expiration_date = var.key_expires
  tags            = var.context.tags

  rotation_policy {
    expire_after         = "P2Y"
    notify_before_expiry = "P30D"

    automatic {
      time_after_creation = "P1Y"
    }
  }

  lifecycle {
    ignore_changes = [expiration_date]
  }

  depends_on = [azurerm_role_assignment.administrator]
}

resource "azurerm_disk_encryption_set" "this" {
  name                      = "des-${local.suffix}"
  location                  = var.context.location
  resource_group_name       = var.context.resource_group
  key_vault_key_id          = azurerm_key_vault_key.disks.versionless_id
  auto_key_rotation_enabled = true
  encryption_type           = "EncryptionAtRestWithCustomerKey"
  tags                      = var.context.tags

  identity {
    type         = "UserAssigned"
    identity_ids = [var.identity_ids.disks]
  }

  depends_on = [azurerm_role_assignment.disks]
}

resource "azurerm_role_assignment" "administrator" {
  scope                = azurerm_key_vault.this.id
  role_definition_name = "Key Vault Crypto Officer"
  principal_id         = var.principal_ids.pipeline
  principal_type       = "ServicePrincipal"
  description          = "Terraform makes the key of the disks"
}

resource "azurerm_role_assignment" "disks" {
  scope                = azurerm_key_vault.this.id
  role_definition_name = "Key Vault Crypto Service Encryption User"
  principal_id         = var.principal_ids.disks
  principal_type       = "ServicePrincipal"
  description          = "The disks wrap their keys"
}

resource "azurerm_role_assignment" "reads_secrets" {
  for_each = toset(["service", "edge"])

  scope                = azurerm_key_vault.this.id
  role_definition_name = "Key Vault Secrets User"
  principal_id         = var.principal_ids[each.key]
  principal_type       = "ServicePrincipal"
  description          = "Instances read their secrets, the edge its certificate"
}

resource "azurerm_monitor_diagnostic_setting" "this" {
  name                       = "audit"
  target_resource_id         = azurerm_key_vault.this.id
  log_analytics_workspace_id = var.workspace_id

  enabled_log {
    category_group = "audit"
  }

  enabled_metric {
    category = "AllMetrics"
  }
}
