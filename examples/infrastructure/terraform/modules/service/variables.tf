variable "name" {
  description = "The service, as in applications/<name>/service.yaml."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,23}$", var.name))
    error_message = "A name has 1 to 24 lower-case letters, digits and dashes, and begins with a letter."
  }
}

variable "addresses" {
  description = "The internal address of each colour: blue and green. The gateways know these, and nothing else of a fleet."
  type        = object({ blue = string, green = string })
}

variable "subnet_id" {
  description = "The subnet of the instances."
  type        = string
}

variable "network_security_group_id" {
  description = "A security group for the instances beside that of the subnet; null for none."
  type        = string
  default     = null
}

variable "zones" {
  description = "The availability zones that are used."
  type        = list(string)
  default     = ["1", "2", "3"]
}

variable "size" {
  description = "The size of an instance; it must allow encryption at host and accelerated networking."
  type        = string
  default     = "Standard_D2s_v5"
}

variable "instances" {
  description = "How few and how many instances the serving colour has. The controller counts with both colours at once: quota for twice that."
  type        = object({ minimum = number, maximum = number })
  default     = { minimum = 3, maximum = 12 }

  validation {
    condition     = 1 <= var.instances.minimum && var.instances.minimum <= var.instances.maximum && var.instances.maximum <= 1000
    error_message = "1 <= minimum <= maximum <= 1000, which is as many as a Flexible scale set can have."
  }
}

variable "baseline" {
  description = "Two more scale sets, for `baseline: true` in a canary: a fleet of the stable release beside the new one. Quota for as many instances again."
  type        = bool
  default     = false
}

variable "cpu_percent" {
  description = "At how much CPU instances are added and taken away."
  type        = object({ out = number, in = number })
  default     = { out = 65, in = 30 }

  validation {
    condition     = var.cpu_percent.in * 2 <= var.cpu_percent.out
    error_message = "in is at most half of out: otherwise taking one away can bring back the load that adds it again."
  }
}

variable "predictive_scaling" {
  description = "Azure's own forecast: Disabled, ForecastOnly or Enabled."
  type        = string
  default     = "ForecastOnly"

  validation {
    condition     = contains(["Disabled", "ForecastOnly", "Enabled"], var.predictive_scaling)
    error_message = "predictive_scaling is Disabled, ForecastOnly or Enabled."
  }
}

variable "image_id" {
  description = "The version of the image with which the fleets are made; later ones are Bleen's."
  type        = string

  validation {
    condition     = can(regex("/galleries/[^/]+/images/[^/]+/versions/[0-9.]+$", var.image_id))
    error_message = "image_id names a version of a gallery image: .../galleries/G/images/I/versions/1.0.0. 'latest' is not immutable."
  }
}

variable "port" {
  description = "The port on which instances answer; 8060 is the guest's."
  type        = number
  default     = 8080

  validation {
    condition     = var.port != 8060
    error_message = "port 8060 is where the guest of each machine answers the health extension."
  }
}

variable "health_path" {
  description = "What the load balancer asks; 200 is healthy."
  type        = string
  default     = "/healthz"
}

variable "drain_time" {
  description = "How long an instance may finish its work before it is deleted."
  type        = string
  default     = "PT5M"

  validation {
    condition     = can(regex("^PT([5-9]|1[0-5])M$", var.drain_time))
    error_message = "drain_time is PT5M to PT15M."
  }
}

variable "admin_public_key" {
  description = "The public key of an account that no security group lets in; Azure wants one."
  type        = string
}

variable "identity_id" {
  description = "The identity of the instances."
  type        = string
}

variable "disk_encryption_set_id" {
  description = "What the disks are encrypted with."
  type        = string
}

variable "workspace_id" {
  description = "The Log Analytics workspace."
  type        = string
}

variable "collection_rule_id" {
  description = "The data collection rule of the instances."
  type        = string
}
