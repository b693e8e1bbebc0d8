variable "tenant_id" {
  description = "The Entra tenant that says who may sign in."
  type        = string
}

variable "controller" {
  description = "The identity of the controller, which owns the ledger: its principal and its name."
  type        = object({ principal_id = string, name = string })
}

variable "network" {
  description = "The subnet of the private endpoint, and the private DNS zone of PostgreSQL."
  type        = object({ subnet_id = string, private_zone_id = string })
}

variable "replica" {
  description = "Where the replica stands; null for none."
  type = object({
    location        = string
    short_location  = string
    resource_group  = string
    subnet_id       = string
    private_zone_id = string
  })
  default = null
}

variable "postgres_version" {
  description = "The major version of PostgreSQL."
  type        = string
  default     = "16"
}

variable "size" {
  description = "The size of the server; zone redundancy needs general purpose or more."
  type        = string
  default     = "GP_Standard_D2ds_v5"
}

variable "storage_mb" {
  description = "The disk, in MiB; it grows by itself and never shrinks."
  type        = number
  default     = 131072
}

variable "zone_redundant" {
  description = "Whether a standby runs in another zone: no commit lost with a zone, and back in less than 120 s, as Azure says."
  type        = bool
  default     = true
}

variable "geo_redundant_backup" {
  description = "Whether backups are kept in the paired region too; cannot be changed later."
  type        = bool
  default     = true
}

variable "backup_days" {
  description = "How long backups are kept, 7 to 35 days."
  type        = number
  default     = 35

  validation {
    condition     = 7 <= var.backup_days && var.backup_days <= 35
    error_message = "backup_days is 7 to 35."
  }
}

variable "workspace_id" {
  description = "The Log Analytics workspace."
  type        = string
}
