"""Pools of load balancers: machines enter theirs as they are made, and leave it as they end."""

import copy
import uuid
from typing import Any

from aiohttp import web

from tests.azure.double.faults import Refused
from tests.azure.double.operations import Operations


class Network:
    """By the name of balancer and pool: which machine is in it, and its administrative state."""

    def __init__(self, operations: Operations) -> None:
        self.pools: dict[tuple[str, str], dict[str, str]] = {}
        self._etags: dict[tuple[str, str], str] = {}
        self._operations = operations

    def enter(self, balancer: str, pool: str, machine: str) -> None:
        self.pools.setdefault((balancer, pool), {})[machine] = "None"

    def leave(self, balancer: str, pool: str, machine: str) -> None:
        self.pools.get((balancer, pool), {}).pop(machine, None)

    async def answer(self, request: web.Request, rest: str) -> web.Response:
        """GET or PUT BALANCER/backendAddressPools/POOL."""
        balancer, _, pool = rest.split("/")
        there = self.pools.setdefault((balancer, pool), {})
        etag = self._etags.setdefault((balancer, pool), f'W/"{uuid.uuid4()}"')
        if request.method == "PUT":
            if request.headers.get("If-Match", etag) != etag:
                raise Refused(412, "PreconditionFailed")
            body = await request.json()
            for address in body["properties"].get("loadBalancerBackendAddresses", []):
                if address["name"] in there:
                    there[address["name"]] = address["properties"].get("adminState", "None")
            self._etags[balancer, pool] = f'W/"{uuid.uuid4()}"'
            path = self._operations.begin("pool", _nothing())
            url = f"{request.scheme}://{request.host}{path}"
            return web.json_response(self._seen(balancer, pool), headers={"Azure-AsyncOperation": url, "Retry-After": "0"})
        return web.json_response(self._seen(balancer, pool))

    def _seen(self, balancer: str, pool: str) -> dict[str, Any]:
        members = copy.copy(self.pools[balancer, pool])
        return {
            "name": pool,
            "etag": self._etags[balancer, pool],
            "properties": {
                "provisioningState": "Succeeded",
                "loadBalancerBackendAddresses": [
                    {"name": name, "properties": {"adminState": state}} for name, state in members.items()
                ],
            },
        }


async def _nothing() -> None:
    return None
