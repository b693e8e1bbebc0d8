"""The server: who asked what, which fault strikes, who answers."""

import re
import ssl
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.azure.double.compute import Compute
from tests.azure.double.edges import Edges
from tests.azure.double.faults import Faults, Lost, Refused
from tests.azure.double.gallery import Gallery
from tests.azure.double.machines import LightMachines, Machines
from tests.azure.double.metadata import Imds
from tests.azure.double.monitor import Monitor
from tests.azure.double.network import Network
from tests.azure.double.nics import Nics
from tests.azure.double.operations import Operations
from tests.azure.double.storage import Storage
from tests.azure.double.vault import Vault

Answer = Callable[[web.Request, str], Awaitable[web.Response]]
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
GROUP = "rg-bleen-dev-weu"
TOKEN = "a token of nobody"
_MONITOR = "/metrics:getBatch"
_SEGMENT = r"/subscriptions/[^/]+(?:/resourceGroups/[^/]+)?/providers/"


class Cloud:
    """A subscription and a storage account. ``await start()`` it, speak to ``url``, ``await close()`` it."""

    def __init__(self, machines: Machines | None = None) -> None:
        self.faults = Faults()
        self.operations = Operations()
        self.storage = Storage()
        self.network = Network(self.operations)
        self.edges = Edges(self.faults, self.operations)
        self.monitor = Monitor(self.edges)
        self.nics = Nics(self.faults, self.operations, self.edges, self.storage)
        self.gallery = Gallery(self.operations)
        self.imds = Imds()
        self.vault = Vault()
        self.machines = machines or LightMachines(self.storage)
        self.compute = Compute(self.faults, self.operations, self.machines, self.network, self.nics)
        self.calls: Counter[str] = Counter()
        """Requests to Resource Manager, polls included: by method and kind of resource."""
        self.url = ""
        self.secure_url = ""
        """The same over TLS, where nobody is answered without a token that ``/identity`` gave."""
        self._seen: dict[str, list[tuple[float, web.Response]]] = {}
        self._answers: list[tuple[str, str, Answer]] = [
            ("Microsoft.Compute/virtualMachineScaleSets", "sets", self.compute.answer),
            ("Microsoft.Compute/virtualMachines", "machines", self.compute.list_machines),
            ("Microsoft.Compute/galleries", "versions", self.gallery.answer),
            ("Microsoft.Compute/locations", "usages", self.compute.usages),
            ("Microsoft.Network/loadBalancers", "pools", self.network.answer),
            ("Microsoft.Network/applicationGateways", "edges", self.edges.answer),
            ("Microsoft.Network/networkInterfaces", "nics", self.nics.answer),
        ]

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        app = web.Application(client_max_size=64_000_000)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        if tls is not None:
            await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=tls).start()
            self.secure_url = f"https://127.0.0.1:{self._runner.addresses[1][1]}"

    async def close(self) -> None:
        await self.operations.close()
        await self.machines.close()
        await self._runner.cleanup()

    @property
    def arm_calls(self) -> int:
        return self.calls.total()

    async def _serve(self, request: web.Request) -> web.Response:
        path = request.path
        if path == "/identity":
            return _token(request)
        if path.startswith("/secrets/"):
            return self.vault.answer(request, path.removeprefix("/secrets/"), TOKEN)
        struck = self.faults.strike(request.method, path)
        try:
            if request.secure and request.headers.get("Authorization") != f"Bearer {TOKEN}":
                raise Refused(401, "InvalidAuthenticationToken", "nobody knows who you are")
            if isinstance(struck, Refused):
                self._count(request, path)
                raise struck
            if path.startswith("/imds/"):
                return await self.imds.answer(request, path.removeprefix("/imds/"))
            answer = await self._answer(request, path)
        except Refused as error:
            return _refusal(error, storage=path.startswith("/account/"))
        if isinstance(struck, Lost):
            assert request.transport is not None
            request.transport.abort()
        return answer

    async def _answer(self, request: web.Request, path: str) -> web.Response:
        if path.startswith("/account/"):
            return await self.storage.answer(request, path.removeprefix("/account/"))
        if path.endswith(_MONITOR):
            return await self.monitor.answer(request)
        self._count(request, path)
        if path.startswith("/operations/"):
            return self.operations.poll(path)
        if "api-version" not in request.query:
            raise Refused(400, "MissingApiVersionParameter")
        for prefix, _, answer in self._answers:
            if found := re.match(f"{_SEGMENT}{prefix}(/.*)?$", path, re.IGNORECASE):
                return self._lagging(request, await answer(request, (found[1] or "").strip("/")))
        raise Refused(404, "InvalidResourceType", path)

    def _count(self, request: web.Request, path: str) -> None:
        if not path.startswith("/account/") and not path.endswith(_MONITOR):
            kind = next((name for prefix, name, _ in self._answers if f"/{prefix}".lower() in path.lower()), "operations")
            self.calls[f"{request.method} {kind}"] += 1

    def _lagging(self, request: web.Request, answer: web.Response) -> web.Response:
        """Return what was true ``lag`` seconds ago, as far as anybody has asked for it since."""
        if request.method != "GET" or not self.faults.lag:
            return answer
        now = time.monotonic()
        seen = self._seen.setdefault(request.path_qs, [])
        seen.append((now, answer))
        while len(seen) > 1 and seen[1][0] <= now - self.faults.lag:
            del seen[0]
        return web.Response(body=seen[0][1].body, content_type="application/json")


def _token(request: web.Request) -> web.Response:
    """Answer as the endpoint of managed identities does (IDENTITY_ENDPOINT, IDENTITY_HEADER)."""
    if request.headers.get("X-IDENTITY-HEADER") != "secret" or "resource" not in request.query:
        return web.json_response({"statusCode": 400, "message": "no header, or no resource"}, status=400)
    expires = str(int(time.time()) + 86_400)
    body = {"access_token": TOKEN, "expires_on": expires, "resource": request.query["resource"], "token_type": "Bearer"}
    return web.json_response(body)


def _refusal(error: Refused, *, storage: bool) -> web.Response:
    headers = {"x-ms-request-id": uuid.uuid4().hex}
    if error.retry_after is not None:
        headers["Retry-After"] = f"{error.retry_after:g}"
    if storage:
        headers["x-ms-error-code"] = error.code
        text = f'<?xml version="1.0"?><Error><Code>{error.code}</Code><Message>{error.message}</Message></Error>'
        return web.Response(status=error.status, text=text, content_type="application/xml", headers=headers)
    body: dict[str, Any] = {"error": {"code": error.code, "message": error.message}}
    return web.json_response(body, status=error.status, headers=headers)
