variable "context" {
  description = "Where this stands: what every name and every tag is made of."
  type = object({
    project        = string
    environment    = string
    location       = string
    short_location = string
    resource_group = string
    tags           = map(string)
  })
}

locals {
  suffix = "${var.context.project}-${var.context.environment}-${var.context.short_location}"
}
