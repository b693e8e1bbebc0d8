locals {
  tags = merge(var.context.tags, { service = var.name })
}
