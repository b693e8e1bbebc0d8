variable "resource_group_id" {
  description = "The resource group that the budget is for."
  type        = string
}

variable "locations" {
  description = "The regions that have machines, by their short names, each with its resource group."
  type        = map(object({ location = string, resource_group = string }))
}

variable "retention_days" {
  description = "How long logs are kept, 30 to 730 days."
  type        = number
  default     = 30

  validation {
    condition     = 30 <= var.retention_days && var.retention_days <= 730
    error_message = "retention_days is 30 to 730."
  }
}

variable "daily_quota_gb" {
  description = "How much is taken in a day before Azure drops what comes; -1 for no limit."
  type        = number
  default     = -1
}

variable "page_emails" {
  description = "Whom to wake, by name."
  type        = map(string)
  default     = {}
}

variable "page_webhooks" {
  description = "What to call for a page, by name: an on-call system."
  type        = map(string)
  default     = {}
}

variable "tell_emails" {
  description = "Whom to tell in the morning, by name."
  type        = map(string)
}

variable "monthly_budget" {
  description = "What a month may cost, in the currency of the subscription; told at 80 % spent and at 100 % forecast."
  type        = number
}

variable "budget_from" {
  description = "The first day of the first month of the budget."
  type        = string
  default     = "2027-01-01T00:00:00Z"

  validation {
    condition     = can(regex("^[0-9]{4}-[0-9]{2}-01T00:00:00Z$", var.budget_from))
    error_message = "budget_from is the first of a month: 2027-01-01T00:00:00Z."
  }
}
