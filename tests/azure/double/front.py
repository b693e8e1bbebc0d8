"""What traffic meets at a gateway that flips: its two listeners, and behind each pool the ready machines of a colour.

Answers are marked with the release of whoever gave them, as no Application Gateway does: the journeys want to know.
"""

import base64
import itertools

import aiohttp
from aiohttp import web

from bleen.domain.codec import decode
from bleen.domain.fleet import Instance, InstanceState
from tests.azure.double.cloud import Cloud
from tests.azure.double.edges import Edge

_HOP = {"connection", "transfer-encoding", "content-length", "content-encoding"}


class Front:
    """Plain HTTP, for TLS is not what is played. ``await start()`` it; ``public`` and ``preview`` are ports."""

    def __init__(self, cloud: Cloud, edge: Edge, suffix: str) -> None:
        self.public = self.preview = 0
        self._cloud = cloud
        self._edge = edge
        self._suffix = suffix
        self._turns = itertools.count()
        self._runners: list[web.AppRunner] = []

    async def start(self) -> None:
        self._client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self.public, self.preview = [await self._listen(rule) for rule in ("{}", "{}-preview")]

    async def _listen(self, rule: str) -> int:
        async def serve(request: web.Request) -> web.Response:
            service = request.host.partition(".")[0]
            return await self._forward(request, self._edge.traffic.get(rule.format(service), ""))

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", serve)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    async def _forward(self, request: web.Request, pool: str) -> web.Response:
        there = self._ready(pool)
        if not there:
            return web.Response(status=502)
        chosen = there[next(self._turns) % len(there)]
        url = f"http://{chosen.address}:{chosen.port}{request.path_qs}"
        async with self._client.request(request.method, url, headers=request.headers, data=await request.read()) as answer:
            headers = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            headers["x-bleen-release"] = self._cloud.compute.sets[self._scale_set(pool)].tags["release"]
            return web.Response(status=answer.status, body=await answer.read(), headers=headers)

    def _ready(self, pool: str) -> list[Instance]:
        """Return the instances that the load balancer's probe would find well."""
        beginning = f"machines/instances/{self._scale_set(pool)}/"
        told = [blob.metadata for name, blob in sorted(self._cloud.storage.blobs.items()) if name.startswith(beginning)]
        found: list[Instance] = [decode(base64.b64decode(each["instance"]), Instance) for each in told if "instance" in each]
        return [each for each in found if each.state is InstanceState.READY]

    def _scale_set(self, pool: str) -> str:
        return f"vmss-{pool}-{self._suffix}"

    async def close(self) -> None:
        for runner in self._runners:
            await runner.cleanup()
        await self._client.close()
