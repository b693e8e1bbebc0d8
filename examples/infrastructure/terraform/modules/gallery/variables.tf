variable "images" {
  description = "The image definitions, each with what it is."
  type        = map(string)
  default     = { base = "Hardened and patched, with the runtime and the agent of Bleen" }
}

variable "principal_ids" {
  description = "Who adds versions, under the name images."
  type        = map(string)
}
