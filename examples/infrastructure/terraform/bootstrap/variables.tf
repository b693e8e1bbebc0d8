variable "subscription_id" {
  description = "The subscription that the state is kept in."
  type        = string
}

variable "project" {
  description = "The project, 2 to 10 lower-case letters and digits."
  type        = string
  default     = "shop"

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,9}$", var.project))
    error_message = "project has 2 to 10 lower-case letters and digits."
  }
}

variable "location" {
  description = "A region with three zones and a pair."
  type        = string
  default     = "westeurope"
}

variable "owner" {
  description = "Whose this is."
  type        = string
}

variable "cost_center" {
  description = "Who pays."
  type        = string
}

variable "unique" {
  description = "A few letters and digits that make the name of the storage account unlike every other in Azure."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]{2,6}$", var.unique))
    error_message = "unique has 2 to 6 lower-case letters and digits."
  }
}

variable "writers" {
  description = "Who applies, by name: the object ids of a person's account and of the pipeline's identity."
  type        = map(string)
}
