"""httpx without its own command line, which loads pygments: 100 ms of every command, and 10 MB of every process."""

import sys

sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # httpx takes the ImportError in its stride

import httpx as httpx  # noqa: E402
