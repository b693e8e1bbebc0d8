variable "subscription_id" {
  type        = string
  description = "The subscription of the environment."
}

variable "project" {
  type        = string
  description = "The project."
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

variable "version" {
  type        = string
  description = "The version, three numbers; a gallery takes each once. image_versions.gateway of the environment names it."
}

variable "regions" {
  type        = list(string)
  description = "Where gateways start from it; every region of the environment."
}

variable "base_version" {
  type        = string
  description = "The version of Debian's image, never 'latest'."
}

variable "size" {
  type        = string
  description = "The size of the machine that builds."
  default     = "Standard_D2s_v5"
}

variable "gateway" {
  type        = string
  description = "The archive of Envoy, Bleen and what they need, which ../packer/wheels.sh makes."
}

variable "gateway_sha256" {
  type        = string
  description = "Its digest, in hexadecimal; nothing is installed from one that has another."
}

variable "envoy_version" {
  type        = string
  description = "The version that Envoy has to say of itself; Bleen pins it in its extra gateway."
}

variable "revision" {
  type        = string
  description = "The commit that the image was built from."
}
