variable "resource_group_id" {
  description = "The resource group of the region."
  type        = string
}

variable "tenant_id" {
  description = "The Entra tenant of the subscription."
  type        = string
}

variable "address_space" {
  description = "The range of the virtual network, a /16 that no other region uses."
  type        = string
}

variable "zones" {
  description = "The availability zones that are used; none where the region has none."
  type        = list(string)
  default     = ["1", "2", "3"]
}

variable "gateway_mode" {
  description = "envoy; or appgw-flip or appgw-mixed, which can do less."
  type        = string
  default     = "envoy"
}

variable "gateway" {
  description = "The Envoy tier: the version of its image, how many, how large."
  type        = object({ image_id = string, instances = optional(number, 3), size = optional(string, "Standard_D2s_v5") })
}

variable "edge_capacity" {
  description = "Instances of Application Gateway, each of about 10 capacity units: at least and at most."
  type        = object({ minimum = number, maximum = number })
  default     = { minimum = 2, maximum = 10 }
}

variable "certificate_secret_id" {
  description = "The certificate of the services' names, in Key Vault, without a version."
  type        = string
}

variable "services" {
  description = "The services of the region. A slot is a number of its own, 0 to 40, that its addresses are made of; it never changes."
  type = map(object({
    slot        = number
    host        = string
    image_id    = string
    size        = optional(string, "Standard_D2s_v5")
    health_path = optional(string, "/healthz")
    instances   = optional(object({ minimum = number, maximum = number }), { minimum = 3, maximum = 12 })
    baseline    = optional(bool, false)
  }))

  validation {
    condition     = length(distinct([for s in var.services : s.slot])) == length(var.services) && alltrue([for s in var.services : 0 <= s.slot && s.slot <= 40])
    error_message = "Each service has a slot of its own, 0 to 40."
  }
}

variable "identities" {
  description = "What the module identity gives: ids, principal_ids, client_ids."
  type        = object({ ids = map(string), principal_ids = map(string), client_ids = map(string) })
}

variable "monitoring" {
  description = "What the module monitoring gives, for this region."
  type        = object({ workspace_id = string, collection_rule_id = string, action_group_ids = map(string) })
}

variable "gallery_id" {
  description = "The gallery that machines may start from."
  type        = string
}

variable "admin_public_key" {
  description = "The public key of an account that no security group lets in; Azure wants one."
  type        = string
}
