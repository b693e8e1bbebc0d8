"""Bleen: the same classes that its controller and its host agent use, over a real Envoy."""

from bench.peers.peer import Peer, end, until
from bleen.domain.traffic import Backend, Colour, Endpoint, Route, Split
from bleen.providers.envoy.backends import EnvoyBackends
from bleen.providers.envoy.gateway import EnvoyGateway
from bleen.providers.envoy.place import Place
from bleen.providers.envoy.process import envoy_argv, envoy_binary, is_serving, write_bootstrap

RELEASES = {Colour.BLUE: 1, Colour.GREEN: 2}


class Bleen(Peer):
    """Routes renamed into place, and observed."""

    name = "Bleen"
    program = str(envoy_binary())

    async def start(self) -> None:
        """Serve."""
        self.place = Place("local", self.folder / "gateway" / "local", self.folder / "admin.sock", self.port)
        write_bootstrap(self.place)
        self._process = await self.run(*envoy_argv(self.place))
        await until(lambda: is_serving(self.place), "Envoy does not serve")
        self.gateway = EnvoyGateway([self.place], self.place.folder.parent, services=0)
        self.backends = EnvoyBackends([self.place])
        self.generation = 0
        for colour in Colour:
            await self.backends.set_backend(self._backend(colour))
        await self.switch("blue")

    def _backend(self, colour: Colour) -> Backend:
        endpoints = tuple(Endpoint(address=address, port=port) for address, port in self.colours[colour])
        return Backend("dev", "bench", colour, RELEASES[colour], endpoints, "/health", health_interval=0.25)

    async def switch(self, colour: str) -> None:
        """Return when Envoy reports it."""
        self.generation += 1
        await self.gateway.set_route(route(Split.of(Colour(colour))), self.generation)

    async def ready(self, colour: str) -> None:
        """Return when every instance of ``colour`` is healthy to Envoy (law 2)."""
        await until(lambda: self._all_healthy(colour), f"{colour} is not healthy")

    async def _all_healthy(self, colour: str) -> bool:
        (seen,) = await self.gateway.observe("dev", "bench")
        return any(each.colour == colour and each.healthy == len(self.colours[colour]) for each in seen.backends)

    async def stop(self) -> None:
        """End it."""
        await self.gateway.close()
        await self.backends.close()
        await end(self._process)


def route(split: Split) -> Route:
    """Return the route of the service that is measured."""
    return Route("dev", "bench", ("localhost",), split, RELEASES[Colour.BLUE], RELEASES[Colour.GREEN])
