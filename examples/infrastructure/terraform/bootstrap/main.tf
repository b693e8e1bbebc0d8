# Made once, by a person: where the state of everything else is kept. Its own state is small and is kept beside it afterwards
# (README.md says how). A blob is locked by a lease while Terraform writes it, so two applies never meet.

terraform {
  required_version = ">= 1.9"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 5.0"
    }
  }
}

provider "azurerm" {
  subscription_id     = var.subscription_id
  storage_use_azuread = true

  features {}
}

locals {
  tags = { project = var.project, environment = "shared", region = var.location, owner = var.owner, "cost-center" = var.cost_center }
}

resource "azurerm_resource_group" "this" {
  name     = "rg-${var.project}-state"
  location = var.location
  tags     = local.tags
}

resource "azurerm_storage_account" "this" {
  # checkov:skip=CKV_AZURE_33:the account has no queues
  # checkov:skip=CKV_AZURE_59:a pipeline outside the network reads the state; Entra and the role below keep everybody else out
  # checkov:skip=CKV2_AZURE_33:the same: there is no network yet for a private endpoint
  # checkov:skip=CKV2_AZURE_1:the key would need a vault, whose state would need this account; Microsoft's key, encrypted twice
  name                              = "st${var.project}state${var.unique}"
  location                          = azurerm_resource_group.this.location
  resource_group_name               = azurerm_resource_group.this.name
  account_kind                      = "StorageV2"
  account_tier                      = "Standard"
  account_replication_type          = "GZRS"
  min_tls_version                   = "TLS1_2"
  https_traffic_only_enabled        = true
  shared_access_key_enabled         = false
  default_to_oauth_authentication   = true
  allow_nested_items_to_be_public   = false
  cross_tenant_replication_enabled  = false
  local_user_enabled                = false
  infrastructure_encryption_enabled = true
  tags                              = local.tags

  blob_properties {
    versioning_enabled = true

    delete_retention_policy {
      days = 90
    }

    container_delete_retention_policy {
      days = 90
    }
  }
}

resource "azurerm_storage_container" "this" {
  # checkov:skip=CKV2_AZURE_21:there is no workspace yet to log into; versions and 90 days of deleted blobs are kept
  for_each = toset(["dev", "staging", "production"])

  name                  = each.key
  storage_account_id    = azurerm_storage_account.this.id
  container_access_type = "private"
}

resource "azurerm_role_assignment" "this" {
  for_each = var.writers

  scope                = azurerm_storage_account.this.id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = each.value
  description          = "Terraform, as ${each.key}"
}

resource "azurerm_management_lock" "this" {
  name       = "keep-state"
  scope      = azurerm_storage_account.this.id
  lock_level = "CanNotDelete"
  notes      = "Without it nobody knows what was made"
}
