"""What a pipeline does with an image, as a program of its own: it has a disk of a build machine, and makes a version of it.

``python -m tests.azure.baking URL`` reads a `Baking` as JSON, and asks Resource Manager at URL, as Packer does at its end.
"""

import asyncio
import json
import sys
import urllib.request

from bleen.providers.azure.images import Baking
from tests.azure.double.gallery import PROVIDER

DISK = f"{PROVIDER}/disks/of-the-build-machine"


def ask(url: str, image: str, version: str, tags: dict[str, str]) -> None:
    """PUT a version whose disk is that of a build machine."""
    properties = {
        "storageProfile": {"osDiskImage": {"source": {"id": DISK}}},
        "publishingProfile": {"targetRegions": [{"name": "weu"}]},
    }
    body = {"location": "weu", "tags": tags, "properties": properties}
    where = f"{url}{PROVIDER}/galleries/gal/images/{image}/versions/{version}?api-version=2025-03-03"
    request = urllib.request.Request(where, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="PUT")
    urllib.request.urlopen(request, timeout=30).read()


class Baker:
    """The same in this process, counted."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.baked: list[Baking] = []

    async def __call__(self, baking: Baking) -> None:
        self.baked.append(baking)
        await asyncio.to_thread(ask, self._url, baking.image, baking.version, baking.tags)


if __name__ == "__main__":
    told = json.load(sys.stdin)
    ask(sys.argv[1], told["image"], told["version"], {"digest": told["digest"], "signature": told["signature"]})
