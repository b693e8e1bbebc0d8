"""What traffic meets at an Application Gateway: its listeners, and behind each the ready machines of a pool, one by one.

Answers are marked with the release of whoever gave them, as no Application Gateway does: the journeys want to know.
"""

import base64
import itertools
from collections.abc import Iterator

import aiohttp
from aiohttp import web

from bleen.domain.codec import decode
from bleen.domain.fleet import Instance, InstanceState
from tests.azure.double.cloud import Cloud
from tests.azure.double.edges import Edge

_HOP = {"connection", "transfer-encoding", "content-length", "content-encoding"}


class Front:
    """A gateway that flips: behind each pool is a colour.

    Plain HTTP, for TLS is not what is played. ``await start()`` it; ``public`` and ``preview`` are ports.
    """

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
            return await self._forward(request, rule.format(service), self.behind(service, rule.format(service)))

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", serve)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    async def _forward(self, request: web.Request, rule: str, there: list[tuple[str, Instance]]) -> web.Response:
        if not there:
            return web.Response(status=502)
        scale_set, chosen = there[next(self._turns) % len(there)]
        url = f"http://{chosen.address}:{chosen.port}{request.path_qs}"
        async with self._client.request(request.method, url, headers=request.headers, data=await request.read()) as answer:
            headers = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            self._cloud.monitor.count(self._edge.name, *self.counted(rule, chosen), answer.status)
            headers["x-bleen-release"] = self._cloud.compute.sets[scale_set].tags["release"]
            return web.Response(status=answer.status, body=await answer.read(), headers=headers)

    def behind(self, service: str, rule: str) -> list[tuple[str, Instance]]:
        """Return who answers by a rule, each with its scale set."""
        pool = self._edge.traffic.get(rule, "")
        return [(scale_set, each) for scale_set, _, each in self._ready() if scale_set == f"vmss-{pool}-{self._suffix}"]

    def counted(self, rule: str, chosen: Instance) -> tuple[str, str]:
        """Return as whose answer Azure Monitor counts it: behind a colour's pool there is the address of a load balancer."""
        return self._edge.traffic[rule], "10.0.0.100"

    def _ready(self) -> Iterator[tuple[str, str, Instance]]:
        """Yield scale set, machine and instance of all that a probe would find well."""
        for name, blob in sorted(self._cloud.storage.blobs.items()):
            if name.startswith("machines/instances/") and "instance" in blob.metadata:
                instance: Instance = decode(base64.b64decode(blob.metadata["instance"]), Instance)
                if instance.state is InstanceState.READY:
                    _, _, scale_set, machine = name.split("/")
                    yield scale_set, machine, instance

    async def close(self) -> None:
        for runner in self._runners:
            await runner.cleanup()
        await self._client.close()


class PoolFront(Front):
    """A gateway that mixes: behind a service are the members of its pool."""

    def behind(self, service: str, rule: str) -> list[tuple[str, Instance]]:
        """Return who answers: there is no other listener."""
        members = self._edge.members.get(rule, set())
        return [(scale_set, each) for scale_set, machine, each in self._ready() if machine in members]

    def counted(self, rule: str, chosen: Instance) -> tuple[str, str]:
        """Return the pool, and the machine."""
        return rule, chosen.address
