"""Bleen deploys services on fleets of immutable machine images."""

__version__ = "0.1.0"
