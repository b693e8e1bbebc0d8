variable "gateway_id" {
  description = "The Application Gateway whose logs are kept."
  type        = string
}

variable "domain_label" {
  description = "The first part of the address's own name, <label>.<location>.cloudapp.azure.com; Traffic Manager needs one."
  type        = string
}

variable "zones" {
  description = "The availability zones that are used."
  type        = list(string)
  default     = ["1", "2", "3"]
}

variable "firewall_mode" {
  description = "Prevention, or Detection while rules are being tried out."
  type        = string
  default     = "Prevention"

  validation {
    condition     = contains(["Prevention", "Detection"], var.firewall_mode)
    error_message = "firewall_mode is Prevention or Detection."
  }
}

variable "requests_a_minute" {
  description = "How many requests one address may make in a minute."
  type        = number
  default     = 6000
}

variable "workspace_id" {
  description = "The Log Analytics workspace."
  type        = string
}
