# The ledger. One writer with a standby in another zone, a replica in another region, and a name that follows the writer.
# Who may sign in is decided by Entra alone: there is no password.

resource "azurerm_postgresql_flexible_server" "primary" {
  # checkov:skip=CKV_AZURE_136:a variable, true unless an environment says otherwise; dev and staging do
  name                          = "psql-${local.suffix}"
  location                      = var.context.location
  resource_group_name           = var.context.resource_group
  version                       = var.postgres_version
  sku_name                      = var.size
  storage_mb                    = var.storage_mb
  auto_grow_enabled             = true
  backup_retention_days         = var.backup_days
  geo_redundant_backup_enabled  = var.geo_redundant_backup
  public_network_access_enabled = false
  tags                          = var.context.tags

  authentication {
    active_directory_auth_enabled = true
    password_auth_enabled         = false
    tenant_id                     = var.tenant_id
  }

  dynamic "high_availability" {
    for_each = var.zone_redundant ? ["ZoneRedundant"] : []

    content {
      mode = high_availability.value
    }
  }

  maintenance_window {
    day_of_week  = 2
    start_hour   = 3
    start_minute = 0
  }

  # After a failover the zones have changed places, and that is well.
  lifecycle {
    ignore_changes  = [zone, high_availability[0].standby_availability_zone]
    prevent_destroy = true
  }
}

# Read-only until somebody promotes it: never by itself. While it is unreachable the primary keeps its log, and at 95 % of the disk
# becomes read-only: module alerts warns long before.
resource "azurerm_postgresql_flexible_server" "replica" {
  count = var.replica == null ? 0 : 1

  name                          = "psql-${var.context.project}-${var.context.environment}-${var.replica.short_location}"
  location                      = var.replica.location
  resource_group_name           = var.replica.resource_group
  create_mode                   = "Replica"
  source_server_id              = azurerm_postgresql_flexible_server.primary.id
  sku_name                      = var.size
  storage_mb                    = var.storage_mb
  auto_grow_enabled             = true
  public_network_access_enabled = false
  tags                          = merge(var.context.tags, { region = var.replica.short_location })

  lifecycle {
    ignore_changes  = [zone, create_mode, source_server_id, replication_role]
    prevent_destroy = true
  }
}

# What the controller connects to. After a switchover by hand the provider cannot update it: docs/azure.md says what to do then.
resource "azurerm_postgresql_flexible_server_virtual_endpoint" "this" {
  count = var.replica == null ? 0 : 1

  name              = "ledger-${var.context.project}-${var.context.environment}"
  source_server_id  = azurerm_postgresql_flexible_server.primary.id
  replica_server_id = azurerm_postgresql_flexible_server.replica[0].id
  type              = "ReadWrite"
}

resource "azurerm_postgresql_flexible_server_database" "this" {
  name      = "bleen"
  server_id = azurerm_postgresql_flexible_server.primary.id
  charset   = "UTF8"
  collation = "en_US.utf8"

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_postgresql_flexible_server_active_directory_administrator" "this" {
  server_name         = azurerm_postgresql_flexible_server.primary.name
  resource_group_name = var.context.resource_group
  tenant_id           = var.tenant_id
  object_id           = var.controller.principal_id
  principal_name      = var.controller.name
  principal_type      = "ServicePrincipal"
}

resource "azurerm_postgresql_flexible_server_configuration" "this" {
  for_each = local.settings

  name      = each.key
  server_id = azurerm_postgresql_flexible_server.primary.id
  value     = each.value
}

resource "azurerm_private_endpoint" "primary" {
  name                = "pe-ledger-${local.suffix}"
  location            = var.context.location
  resource_group_name = var.context.resource_group
  subnet_id           = var.network.subnet_id
  tags                = var.context.tags

  private_service_connection {
    name                           = "ledger"
    private_connection_resource_id = azurerm_postgresql_flexible_server.primary.id
    subresource_names              = ["postgresqlServer"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "ledger"
    private_dns_zone_ids = [var.network.private_zone_id]
  }
}

resource "azurerm_private_endpoint" "replica" {
  count = var.replica == null ? 0 : 1

  name                = "pe-ledger-${var.context.project}-${var.context.environment}-${var.replica.short_location}"
  location            = var.replica.location
  resource_group_name = var.replica.resource_group
  subnet_id           = var.replica.subnet_id
  tags                = merge(var.context.tags, { region = var.replica.short_location })

  private_service_connection {
    name                           = "ledger"
    private_connection_resource_id = azurerm_postgresql_flexible_server.replica[0].id
    subresource_names              = ["postgresqlServer"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "ledger"
    private_dns_zone_ids = [var.replica.private_zone_id]
  }
}

resource "azurerm_monitor_diagnostic_setting" "this" {
  name                       = "ledger"
  target_resource_id         = azurerm_postgresql_flexible_server.primary.id
  log_analytics_workspace_id = var.workspace_id

  enabled_log {
    category_group = "allLogs"
  }

  enabled_metric {
    category = "AllMetrics"
  }
}
