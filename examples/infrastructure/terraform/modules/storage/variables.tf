variable "agents" {
  description = "Whether there are agents beside Envoys, who read routes and report."
  type        = bool
}

variable "zones" {
  description = "The availability zones that are used."
  type        = list(string)
  default     = ["1", "2", "3"]
}

variable "endpoint_subnet_id" {
  description = "Where the private endpoint is."
  type        = string
}

variable "private_zone_id" {
  description = "The private DNS zone of blobs."
  type        = string
}

variable "principal_ids" {
  description = "Who is given roles on the containers: controller, gateway, service, images."
  type        = map(string)
}

variable "workspace_id" {
  description = "The Log Analytics workspace."
  type        = string
}
