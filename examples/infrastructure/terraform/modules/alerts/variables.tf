variable "resource_group_id" {
  description = "The resource group whose health is watched."
  type        = string
}

variable "gateways" {
  description = "Application Gateways, by name."
  type        = map(string)
  default     = {}
}

variable "load_balancers" {
  description = "Internal load balancers, by name."
  type        = map(string)
  default     = {}
}

variable "databases" {
  description = "PostgreSQL servers, by name."
  type        = map(string)
  default     = {}
}

variable "capacity_units" {
  description = "At how many capacity units the edge is as good as full; an instance has about 10."
  type        = number
  default     = 75
}

variable "failed_requests" {
  description = "How many failed requests in five minutes are too many."
  type        = number
  default     = 50
}

variable "action_group_ids" {
  description = "Whom an alert calls: page or tell."
  type        = map(string)
}
