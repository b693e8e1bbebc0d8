variable "regions" {
  description = "The regions, each with its public address and its place in the order."
  type        = map(object({ public_ip_id = string, priority = number }))

  validation {
    condition     = length(distinct([for r in var.regions : r.priority])) == length(var.regions)
    error_message = "No two regions have the same priority."
  }
}

variable "health_path" {
  description = "What is asked of each region."
  type        = string
  default     = "/healthz"
}

variable "health_host" {
  description = "The host that is asked for: a service that is deployed in every region."
  type        = string
}
