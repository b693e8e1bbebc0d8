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

variable "address" {
  description = "The internal address of the Envoys, in the subnet gateway."
  type        = string
}

variable "port" {
  description = "The port on which the Envoys take requests."
  type        = number
  default     = 8080
}

variable "agent_port" {
  description = "The port on which an agent answers the health extension, on loopback."
  type        = number
  default     = 8071
}

variable "health_path" {
  description = "What an Envoy that has its routes answers with 200."
  type        = string
  default     = "/healthz"
}

variable "instances" {
  description = "How many Envoys; three keep two when a zone is lost."
  type        = number
  default     = 3
}

variable "size" {
  description = "The size of an instance."
  type        = string
  default     = "Standard_D2s_v5"
}

variable "image_id" {
  description = "The version of the gallery image that has Envoy and the agent."
  type        = string

  validation {
    condition     = can(regex("/galleries/[^/]+/images/[^/]+/versions/[0-9.]+$", var.image_id))
    error_message = "image_id names a version of a gallery image: .../galleries/G/images/I/versions/1.0.0."
  }
}

variable "admin_public_key" {
  description = "The public key of an account that no security group lets in; Azure wants one."
  type        = string
}

variable "identity_ids" {
  description = "The identities: edge, gateway."
  type        = map(string)
}

variable "account" {
  description = "The URL of the storage account that has the routes, and gets the agents' reports."
  type        = string
}

variable "client_ids" {
  description = "What an agent names when it asks for a token, under gateway."
  type        = map(string)
}

variable "disk_encryption_set_id" {
  description = "What the disks are encrypted with."
  type        = string
}

variable "collection_rule_id" {
  description = "The data collection rule of the instances."
  type        = string
}
