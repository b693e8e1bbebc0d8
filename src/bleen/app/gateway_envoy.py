"""Becomes the Envoy of a machine of the gateways' scale set in Azure: ``python -m bleen.app gateway_envoy``.

It writes what Envoy starts from and is Envoy from then on. The agent is a service of its own, so that neither ends with the
other.
"""

import asyncio
import logging
import os
import sys

from bleen.app.gateway_agent import load_machine
from bleen.domain.errors import BleenError
from bleen.settings import read_settings


def main() -> int:
    """Return only where it cannot: the exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        words = asyncio.run(load_machine().prepare(read_settings()))
        os.execv(words[0], words)
    except BleenError as error:
        sys.stderr.write(f"{error}\n")
    except OSError as error:
        sys.stderr.write(f"Envoy cannot be started: {error}\n")
    return 3
