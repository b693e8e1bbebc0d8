"""httpx without its own command line, which loads pygments: 100 ms of every command, and 10 MB of every process."""

import ssl
import sys
from functools import cache

sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # httpx takes the ImportError in its stride

import httpx as httpx  # noqa: E402


@cache
def authorities() -> ssl.SSLContext:
    """Return what certificates are verified by: this machine's authorities, which take 30 to 60 ms to load, read once."""
    return httpx.create_ssl_context()


def verification(url: str) -> ssl.SSLContext | bool:
    """Return what a client of ``url`` verifies by. Plain HTTP needs no authorities, which take time to load."""
    return authorities() if url.startswith("https:") else False
