variable "subscription_id" {
  type        = string
  description = "The subscription of the environment."
}

variable "build_resource_group" {
  type        = string
  description = "Where the machine is built: output images of the environment."
}

variable "gallery_resource_group" {
  type        = string
  description = "The resource group of the gallery."
}

variable "gallery" {
  type        = string
  description = "The gallery: output images of the environment."
}

variable "regions" {
  type        = list(string)
  description = "Where fleets start from it; every region of the environment."
}

variable "base_version" {
  type        = string
  description = "The version of Debian's image, never 'latest'."
}

variable "version" {
  type        = string
  description = "The version, three numbers; a gallery takes each once."
  default     = "@VERSION@"
}

variable "size" {
  type        = string
  description = "The size of the machine that builds."
  default     = "Standard_D2s_v5"
}
