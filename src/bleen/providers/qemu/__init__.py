"""QEMU: boots an image once, without KVM and without a network, and says what came of it."""
