# The state, locked by a lease while it is written. The account is made by ../../bootstrap; its name is given at
# `terraform init -backend-config=storage_account_name=...`, and Entra says who may: no key is written anywhere.
terraform {
  backend "azurerm" {
    resource_group_name = "rg-shop-state"
    container_name      = "staging"
    key                 = "terraform.tfstate"
    use_azuread_auth    = true
    use_oidc            = true
  }
}
