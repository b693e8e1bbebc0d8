variable "resource_group_ids" {
  description = "The resource groups in which the roles are given, by short name of the region; nothing is given above them but by reads_metrics."
  type        = map(string)
}

variable "gitlab_url" {
  description = "The GitLab that signs the tokens, without a slash at its end."
  type        = string
  default     = "https://gitlab.com"

  validation {
    condition     = startswith(var.gitlab_url, "https://") && !endswith(var.gitlab_url, "/")
    error_message = "gitlab_url begins with https:// and does not end with a slash: Entra compares it letter by letter."
  }
}

variable "gitlab_project" {
  description = "The path of the project: group/project."
  type        = string
}

variable "gitlab_refs" {
  description = "The branches and tags whose jobs may apply; at most 20 credentials fit on an identity."
  type        = map(object({ type = string, ref = string }))
  default     = { main = { type = "branch", ref = "main" } }

  validation {
    condition     = length(var.gitlab_refs) <= 20 && alltrue([for r in var.gitlab_refs : contains(["branch", "tag"], r.type)])
    error_message = "Each is a branch or a tag, and there are at most 20."
  }
}

variable "reads_metrics" {
  description = "Whether the controller reads what Azure Monitor counts: behind appgw-flip and appgw-mixed, and nowhere else. It may then read all of the subscription."
  type        = bool
  default     = false
}
