locals {
  tags = merge(var.context.tags, { service = var.name })

  # Where the guest of each machine answers the health extension: BLEEN_GUEST_PORT in bleen-guest.service of the image.
  guest = { port = 8060, path = "/health" }

  # A baseline fleet has no address and no autoscale of its own: only the gateways send it requests, and it is as large as the canary.
  places = merge(
    { for colour, address in var.addresses : colour => { behind_address = true } },
    { for colour, address in var.addresses : "${colour}-baseline" => { behind_address = false } if var.baseline },
  )
}
