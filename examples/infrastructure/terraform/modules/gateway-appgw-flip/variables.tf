variable "domain_label" {
  description = "The first part of the public address's own name."
  type        = string
}

variable "certificate_secret_id" {
  description = "The certificate of the services' names, in Key Vault; without a version, so that a renewed one is taken within 4 hours."
  type        = string

  validation {
    condition     = can(regex("^https://[^/]+/secrets/[^/]+/?$", var.certificate_secret_id))
    error_message = "certificate_secret_id is https://<vault>.vault.azure.net/secrets/<name>, without a version."
  }
}

variable "subnet_ids" {
  description = "The subnets of the region."
  type        = map(string)
}

variable "zones" {
  description = "The availability zones that are used."
  type        = list(string)
  default     = ["1", "2", "3"]
}

variable "edge_capacity" {
  description = "Instances of Application Gateway, each of about 10 capacity units: how few are always there (and paid for), how many it may grow to."
  type        = object({ minimum = number, maximum = number })
  default     = { minimum = 2, maximum = 10 }

  validation {
    condition     = 0 <= var.edge_capacity.minimum && 2 <= var.edge_capacity.maximum && var.edge_capacity.maximum <= 125 && var.edge_capacity.minimum <= var.edge_capacity.maximum
    error_message = "minimum is 0 to 125 and maximum 2 to 125."
  }
}

variable "firewall_mode" {
  description = "Prevention, or Detection while rules are being tried out."
  type        = string
  default     = "Prevention"
}

variable "workspace_id" {
  description = "The Log Analytics workspace."
  type        = string
}

variable "services" {
  description = "What is served: its host, the internal addresses of its colours, its port, its health path."
  type = map(object({
    host        = string
    port        = number
    health_path = string
    addresses   = object({ blue = string, green = string })
  }))
}

variable "preview_address" {
  description = "An internal address in the subnet edge, at which the idle colours answer."
  type        = string
}

variable "identity_ids" {
  description = "The identity that reads the certificate, under edge."
  type        = map(string)
}
