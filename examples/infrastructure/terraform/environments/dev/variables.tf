variable "subscription_id" {
  description = "The subscription of this environment."
  type        = string
}

variable "project" {
  description = "The project, 2 to 10 lower-case letters and digits."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,9}$", var.project))
    error_message = "project has 2 to 10 lower-case letters and digits: names of vaults and accounts are made of it, and are short."
  }
}

variable "owner" {
  description = "Whose this is: a team, or an address."
  type        = string
}

variable "cost_center" {
  description = "Who pays."
  type        = string
}

variable "gitlab_project" {
  description = "The GitLab project that applies this: group/project."
  type        = string
}

variable "certificate_secret_id" {
  description = "The certificate of the services' names, in Key Vault, without a version."
  type        = string
}

variable "admin_public_key" {
  description = "The public key of an account that no security group lets in; Azure wants one."
  type        = string
}

variable "tell_emails" {
  description = "Whom to tell in the morning, by name."
  type        = map(string)
}

variable "page_webhooks" {
  description = "What to call for a page, by name: an on-call system."
  type        = map(string)
  default     = {}
}

variable "image_versions" {
  description = "The versions with which fleets are made, by image; gateway is the Envoy tier's. Later ones are Bleen's."
  type        = map(string)
}
