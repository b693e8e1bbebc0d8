locals {
  # What an Envoy and its agent are told when their machine boots; routes and backends are in the account.
  agent = {
    account     = var.account
    region      = var.context.short_location
    client_id   = var.client_ids.gateway
    port        = var.port
    health_port = var.agent_port
  }
}
