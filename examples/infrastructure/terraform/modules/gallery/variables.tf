variable "images" {
  description = "The image definitions, each with what it is."
  type        = map(string)
  default     = { gateway = "Debian, with Envoy and its agent" }
}

variable "principal_ids" {
  description = "Who adds versions, under the name images."
  type        = map(string)
}
