"""A platform in memory for the console's bench, ``python -m bench.consoleserver FOLDER``: 200 services, some always changing.

Prints the address and a code that signs a browser in, then another code for each line that it reads.
"""

import sys
import threading
from pathlib import Path

from tests.interfaces.estate import Estate

from bleen.domain.duration import seconds
from bleen.domain.errors import BleenError
from bleen.domain.image import Directory
from bleen.domain.release import Runtime
from bleen.domain.service import BlueGreen, Service
from bleen.interfaces.client import Client
from bleen.workflows.messages import DeployRequest

SERVICES, MOVING = 200, 20
COMMAND = ("{app}/serve",)
LOOK = 0.5
"""Seconds between two looks at a rollout: what decides runs elsewhere, and is no part of this measurement."""
PACE = 0.5
"""Seconds between two deployments, each to another of the services that move."""


def deployment(number: int, version: int, folder: Path, *, asks: bool = False) -> DeployRequest:
    """Return the order for a release of a service."""
    strategy = BlueGreen(warm=seconds(3), abort_delay=seconds(0), auto_promote=not asks)
    image = Directory(path=".", version=f"1.{version}.0")
    spec = Service(service=f"service-{number:03}", image=image, command=COMMAND, instances=3, strategy=strategy)
    return DeployRequest("dev", spec, Runtime(command=COMMAND, env={"V": str(version)}), str(folder), "bench")


def main(folder: Path) -> None:
    """Serve until the input ends."""
    (folder / "serve").write_text("#!/bin/sh\n")
    (folder / "serve").chmod(0o755)
    estate = Estate(folder / "home")
    estate.control.look = LOOK
    estate.up()
    with Client(estate.server()) as client:
        for number in range(SERVICES):
            client.deploy(deployment(number, 0, folder))
        over = threading.Event()
        moving = threading.Thread(target=_move, args=(estate, folder, over), daemon=True)
        moving.start()
        client.deploy(deployment(MOVING, 1, folder, asks=True))
        print(estate.address, flush=True)
        for _ in sys.stdin:
            print(client.link("bench").code, flush=True)
        over.set()
        moving.join()
    estate.down()


def _move(estate: Estate, folder: Path, over: threading.Event) -> None:
    version = 1
    with Client(estate.server()) as client:
        while not over.is_set():
            for number in range(MOVING):
                if over.is_set():
                    return
                try:
                    client.deploy(deployment(number, version, folder))
                except BleenError as error:
                    print(f"service-{number:03}: {error}", file=sys.stderr)
                over.wait(PACE)
            version += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
