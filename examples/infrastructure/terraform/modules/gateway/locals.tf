locals {
  # What an agent is told at its first boot; everything else it reads from the container.
  agent = {
    routes    = var.routes_container
    client_id = var.client_ids.gateway
    region    = var.context.location
    port      = var.agent_port
  }
}
