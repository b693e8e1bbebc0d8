locals {
  settings = {
    "require_secure_transport"   = "on"
    "log_checkpoints"            = "on"
    "connection_throttle.enable" = "on"
  }
}
