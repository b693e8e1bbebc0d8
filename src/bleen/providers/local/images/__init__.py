"""Images on one machine: built from locked sources into a content-addressed store of read-only trees."""

from bleen.providers.local.images.bases import LocalBases
from bleen.providers.local.images.builder import LocalBuilder
from bleen.providers.local.images.environment import find_command, machine_folders, process_environment
from bleen.providers.local.images.provider import LocalImages

__all__ = ["LocalBases", "LocalBuilder", "LocalImages", "find_command", "machine_folders", "process_environment"]
