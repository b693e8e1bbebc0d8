"""Caddy: its admin API."""

import json
from typing import Any

import httpx

from bench.peers.peer import Peer, end


class Caddy(Peer):
    """The upstreams of the one handler are replaced by PATCH."""

    name = "Caddy"
    program = "caddy"

    async def start(self) -> None:
        """Serve."""
        handler = {"@id": "split", "handler": "reverse_proxy", "upstreams": self._upstreams("blue"), "flush_interval": -1}
        server = {
            "listen": [f"127.0.0.1:{self.port}"],
            "idle_timeout": "1h",
            "automatic_https": {"disable": True},
            "routes": [{"handle": [handler]}],
        }
        content = {
            "admin": {"listen": f"unix/{self.folder}/admin.sock", "config": {"persist": False}},
            "apps": {"http": {"servers": {"main": server}}},
            "logging": {"logs": {"default": {"level": "ERROR"}}},
        }
        (self.folder / "caddy.json").write_text(json.dumps(content))
        self._process = await self.run("caddy", "run", "--config", str(self.folder / "caddy.json"))
        await self.answers()
        transport = httpx.AsyncHTTPTransport(uds=str(self.folder / "admin.sock"))
        self._admin = httpx.AsyncClient(transport=transport, base_url="http://localhost", trust_env=False)

    def _upstreams(self, colour: str) -> list[dict[str, Any]]:
        return [{"dial": f"{address}:{port}"} for address, port in self.colours[colour]]

    async def switch(self, colour: str) -> None:
        """Return when the API has answered."""
        answer = await self._admin.patch("/id/split/upstreams", json=self._upstreams(colour))
        answer.raise_for_status()

    async def stop(self) -> None:
        """End it."""
        await self._admin.aclose()
        await end(self._process)
