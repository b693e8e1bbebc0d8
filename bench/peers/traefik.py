"""Traefik: weights in a file that it watches."""

import json

from bench.peers.peer import Peer, end


class Traefik(Peer):
    """The file provider; the file is replaced by a rename."""

    name = "Traefik"
    program = "traefik"

    async def start(self) -> None:
        """Serve."""
        self._write("blue")
        self._process = await self.run(
            "traefik",
            f"--entryPoints.web.address=127.0.0.1:{self.port}",
            "--entryPoints.web.transport.respondingTimeouts.idleTimeout=3600s",
            f"--providers.file.directory={self.folder / 'dynamic'}",
            "--providers.file.watch=true",
            "--providers.providersThrottleDuration=10ms",  # by default a second change waits for 2 s
            "--global.checkNewVersion=false",
            "--global.sendAnonymousUsage=false",
            "--log.level=ERROR",
        )
        await self.answers()

    def _write(self, serving: str) -> None:
        weights = [{"name": colour, "weight": 100 if colour == serving else 0} for colour in self.colours]
        services = {
            colour: {"loadBalancer": {"servers": [{"url": f"http://{address}:{port}"} for address, port in instances]}}
            for colour, instances in self.colours.items()
        }
        route = {"rule": "PathPrefix(`/`)", "service": "split", "entryPoints": ["web"]}
        content = {"http": {"routers": {"all": route}, "services": {"split": {"weighted": {"services": weights}}, **services}}}
        (self.folder / "dynamic").mkdir(exist_ok=True)
        draft = self.folder / "draft"
        draft.write_text(json.dumps(content))
        draft.rename(self.folder / "dynamic" / "routes.yml")

    async def switch(self, colour: str) -> None:
        """Return at once: a file has no answer."""
        self._write(colour)

    async def stop(self) -> None:
        """End it."""
        await end(self._process)
