variable "address_space" {
  description = "The range of the virtual network, a /16 that no other region uses."
  type        = string

  validation {
    condition     = can(cidrsubnet(var.address_space, 8, 255)) && endswith(var.address_space, "/16")
    error_message = "address_space is a /16, like 10.10.0.0/16."
  }
}

variable "zones" {
  description = "The availability zones that are used."
  type        = list(string)
  default     = ["1", "2", "3"]
}

variable "gateway_mode" {
  description = "Who speaks to the services: the Envoy tier, or Application Gateway itself."
  type        = string
  default     = "envoy"

  validation {
    condition     = contains(["envoy", "appgw-flip", "appgw-mixed"], var.gateway_mode)
    error_message = "gateway_mode is envoy, appgw-flip or appgw-mixed."
  }
}

variable "gateway_port" {
  description = "The port on which the gateways take requests from the edge."
  type        = number
  default     = 8080
}

variable "service_port" {
  description = "The port on which instances answer."
  type        = number
  default     = 8080
}
