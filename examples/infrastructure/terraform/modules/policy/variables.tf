variable "resource_group_id" {
  description = "The resource group that the policies hold in."
  type        = string
}

variable "gallery_id" {
  description = "The gallery that machines may start from."
  type        = string
}

variable "allowed_locations" {
  description = "The regions of this environment."
  type        = list(string)
}

variable "required_tags" {
  description = "The tags that everything has."
  type        = list(string)
  default     = ["project", "environment", "region", "owner", "cost-center"]
}

variable "enforce_tags" {
  description = "Whether what lacks a tag is refused. Azure makes things itself, like the network interfaces of private endpoints, and may not tag them: look at the report before you turn it on."
  type        = bool
  default     = false
}

variable "enforce" {
  description = "Whether what breaks another policy is refused, or only reported."
  type        = bool
  default     = true
}
