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

variable "image" {
  type        = string
  description = "The image definition: the name of the service."
}

variable "version" {
  type        = string
  description = "The version, three numbers; a gallery takes each once."
}

variable "regions" {
  type        = list(string)
  description = "Where fleets start from it; every region of the environment."
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

variable "payload" {
  type        = string
  description = "The archive of the image, as the store has it: bake.sh makes it."
}

variable "payload_sha256" {
  type        = string
  description = "Its digest, in hexadecimal; nothing is unpacked that has another."
}

variable "guest" {
  type        = string
  description = "The archive of the guest, which wheels.sh makes: the same for all images."
}

variable "guest_sha256" {
  type        = string
  description = "Its digest, in hexadecimal; nothing is installed from one that has another."
}

variable "digest" {
  type        = string
  description = "The digest of the image, sha256:..., as Bleen names it."
}

variable "signature" {
  type        = string
  description = "The digest of the signed provenance (DSSE), sha256:...: a tag holds 256 signs, and the envelope is larger."
}

variable "stands_on" {
  type        = string
  description = "The digest of the base of a recipe that the payload has beside the image; host where it stands on none."
  default     = "host"
}

variable "revision" {
  type        = string
  description = "The commit that the image was built from."
}
