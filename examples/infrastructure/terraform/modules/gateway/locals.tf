locals {
  # What an agent is told at its first boot; everything else it reads from the container.
  agent = {
    routes    = "${azurerm_storage_account.routes.primary_blob_endpoint}routes"
    client_id = var.client_ids.gateway
    region    = var.context.location
    port      = var.agent_port
  }
}
