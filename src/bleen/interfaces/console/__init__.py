"""The web console: pages and scripts that are served as they are. Whatever they show comes from the API."""

from bleen.interfaces.console.pages import pages

__all__ = ["pages"]
