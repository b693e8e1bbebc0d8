variable "tenant_id" {
  description = "The Entra tenant of the subscription."
  type        = string
}

variable "identity_ids" {
  description = "The identity of the disk encryption set, under the name disks."
  type        = map(string)
}

variable "principal_ids" {
  description = "Who is given roles on the vault: disks, edge, pipeline, service."
  type        = map(string)
}

variable "endpoint_subnet_id" {
  description = "The subnet of the private endpoints."
  type        = string
}

variable "private_zone_id" {
  description = "The private DNS zone of Key Vault."
  type        = string
}

variable "workspace_id" {
  description = "The Log Analytics workspace that keeps who opened what."
  type        = string
}

variable "key_expires" {
  description = "When the first version of the key of the disks ends; rotation makes the next ones."
  type        = string
  default     = "2028-01-01T00:00:00Z"
}
