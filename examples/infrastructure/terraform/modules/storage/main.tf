# What Bleen keeps of a region: what it ordered of the gateway, what agents and machines report, and where the provenance of images
# is: a container for each, because each has writers of its own. Versions of blobs are kept.

resource "azurerm_storage_account" "routes" {
  # checkov:skip=CKV_AZURE_33:the account has no queues
  # checkov:skip=CKV_AZURE_206:three zones where the region has them, and one in dev
  # checkov:skip=CKV2_AZURE_1:routes are no secret; Microsoft's key, encrypted twice, keeps them readable when the vault is not
  name                              = "st${substr(md5(local.suffix), 0, 8)}${var.context.environment}${var.context.short_location}"
  location                          = var.context.location
  resource_group_name               = var.context.resource_group
  account_kind                      = "StorageV2"
  account_tier                      = "Standard"
  account_replication_type          = length(var.zones) > 1 ? "ZRS" : "LRS"
  min_tls_version                   = "TLS1_2"
  https_traffic_only_enabled        = true
  public_network_access_enabled     = false
  shared_access_key_enabled         = false
  default_to_oauth_authentication   = true
  allow_nested_items_to_be_public   = false
  cross_tenant_replication_enabled  = false
  local_user_enabled                = false
  infrastructure_encryption_enabled = true
  tags                              = var.context.tags

  blob_properties {
    versioning_enabled = true

    delete_retention_policy {
      days = 30
    }

    container_delete_retention_policy {
      days = 30
    }
  }

  network_rules {
    default_action = "Deny"
    bypass         = ["AzureServices"]
  }
}

resource "azurerm_storage_container" "routes" {
  # checkov:skip=CKV2_AZURE_21:logged by the diagnostic setting below; checkov looks for the older storage insights
  name                  = "routes"
  storage_account_id    = azurerm_storage_account.routes.id
  container_access_type = "private"
}

resource "azurerm_storage_container" "reports" {
  # checkov:skip=CKV2_AZURE_21:logged by the diagnostic setting below; checkov looks for the older storage insights
  for_each = toset(["gateways", "machines", "operations", "images"])

  name                  = each.key
  storage_account_id    = azurerm_storage_account.routes.id
  container_access_type = "private"
}

# Reports are written anew each few seconds: of these, versions are worth nothing.
resource "azurerm_storage_management_policy" "reports" {
  storage_account_id = azurerm_storage_account.routes.id

  rule {
    name    = "forget-old-reports"
    enabled = true

    filters {
      prefix_match = ["gateways/", "machines/", "operations/"]
      blob_types   = ["blockBlob", "appendBlob"]
    }

    actions {
      version {
        delete_after_days_since_creation = 1
      }
    }
  }
}

resource "azurerm_private_endpoint" "routes" {
  name                = "pe-routes-${local.suffix}"
  location            = var.context.location
  resource_group_name = var.context.resource_group
  subnet_id           = var.endpoint_subnet_id
  tags                = var.context.tags

  private_service_connection {
    name                           = "blob"
    private_connection_resource_id = azurerm_storage_account.routes.id
    subresource_names              = ["blob"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "blob"
    private_dns_zone_ids = [var.private_zone_id]
  }
}

resource "azurerm_role_assignment" "agents_read" {
  count = var.agents ? 1 : 0

  scope                = azurerm_storage_account.routes.id
  role_definition_name = "Storage Blob Data Reader"
  principal_id         = var.principal_ids.gateway
  principal_type       = "ServicePrincipal"
  description          = "Agents read routes"
}

resource "azurerm_role_assignment" "agents_report" {
  count = var.agents ? 1 : 0

  scope                = azurerm_storage_container.reports["gateways"].id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = var.principal_ids.gateway
  principal_type       = "ServicePrincipal"
  description          = "Agents report what their Envoys have"
}

resource "azurerm_role_assignment" "machines_report" {
  scope                = azurerm_storage_container.reports["machines"].id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = var.principal_ids.service
  principal_type       = "ServicePrincipal"
  description          = "Machines report on their instances"
}

resource "azurerm_role_assignment" "pipeline_vouches" {
  scope                = azurerm_storage_container.reports["images"].id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = var.principal_ids.images
  principal_type       = "ServicePrincipal"
  description          = "The image pipeline writes what it signed"
}

resource "azurerm_role_assignment" "controller_writes" {
  scope                = azurerm_storage_account.routes.id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = var.principal_ids.controller
  principal_type       = "ServicePrincipal"
  description          = "The controller writes routes"
}

resource "azurerm_monitor_diagnostic_setting" "routes" {
  name                       = "audit"
  target_resource_id         = "${azurerm_storage_account.routes.id}/blobServices/default"
  log_analytics_workspace_id = var.workspace_id

  enabled_log {
    category = "StorageRead"
  }

  enabled_log {
    category = "StorageWrite"
  }

  enabled_log {
    category = "StorageDelete"
  }
}
