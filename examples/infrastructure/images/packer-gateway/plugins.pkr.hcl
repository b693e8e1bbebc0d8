# For Packer 1.7 and newer, which has its builders as plugins. In a file of its own: 1.6 does not know the block.
packer {
  required_plugins {
    azure = {
      source  = "github.com/hashicorp/azure"
      version = "~> 2.0"
    }
  }
}
