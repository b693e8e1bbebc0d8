"""The HTTP API: what the command line and the console speak."""

from bleen.interfaces.api.providers import Controls, Providers
from bleen.interfaces.api.server import build_api, serve

__all__ = ["Controls", "Providers", "build_api", "serve"]
