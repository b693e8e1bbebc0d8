locals {
  roles = {
    controller = "Bleen itself"
    gateway    = "the agents beside the Envoys"
    service    = "the instances"
    edge       = "Application Gateway, to read its certificate"
    images     = "the pipeline that builds images"
    pipeline   = "the pipeline that applies this repository"
    disks      = "the disk encryption set"
  }
}
