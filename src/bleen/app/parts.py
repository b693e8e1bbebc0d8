"""The parts of the embedded platform, in the order in which they are started."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bleen.app.home import environment_of
from bleen.providers import engine
from bleen.providers.engine import Engine
from bleen.providers.envoy.place import Place, places
from bleen.providers.envoy.process import envoy_argv, is_serving, write_bootstrap
from bleen.providers.local import heap
from bleen.providers.local.parts import Part, http_ready
from bleen.providers.postgres import embedded as postgres
from bleen.providers.postgres.embedded import Server
from bleen.settings import Settings


def parts_of(settings: Settings) -> tuple[Part, ...]:
    """Return what has to run on this machine: what is embedded, the gateways, the controller."""
    gateways = [_gateway(settings, place) for place in places_of(settings)]
    embedded = embedded_of(settings)
    return (*embedded, *gateways, _controller(settings, tuple(part.name for part in embedded)))


def embedded_of(settings: Settings) -> tuple[Part, ...]:
    """Return what the controller needs and nobody else provides: database, engine, or neither."""
    return (
        *(() if settings.database_url else (_postgres(settings),)),
        *(() if settings.engine_address else (_engine(settings),)),
    )


def places_of(settings: Settings) -> Sequence[Place]:
    """Return where gateways run on this machine: nowhere, where fleets run in a cloud."""
    return places(settings, settings.ports.gateway) if settings.provider == "local" else ()


def database_of(settings: Settings) -> Server:
    """Return the embedded database of ``settings``."""
    return Server(folder=str(settings.path / "postgres"), runtime=settings.runtime)


def engine_of(settings: Settings) -> Engine:
    """Return the embedded engine of ``settings``."""
    ports = settings.ports
    return Engine(
        folder=str(settings.path / "engine"), port=ports.engine, http_port=ports.engine_http, binary=settings.engine_binary
    )


def _postgres(settings: Settings) -> Part:
    server = database_of(settings)
    return Part(
        name="postgres",
        argv=server.command,
        env=environment_of(settings),
        ready=partial(postgres.ready, server),
        stop_signal=postgres.STOP_SIGNAL,
    )


def _engine(settings: Settings) -> Part:
    embedded = engine_of(settings)
    return Part(
        name="engine",
        argv=engine.command(embedded),
        env={**environment_of(settings), **engine.environment(embedded)},
        ready=http_ready(embedded.namespace_url),
        listens=(("127.0.0.1", embedded.port), ("127.0.0.1", embedded.http_port)),
    )


def _gateway(settings: Settings, place: Place) -> Part:
    async def prepare() -> None:
        write_bootstrap(place)

    return Part(
        name=f"gateway-{place.region}",
        argv=tuple(envoy_argv(place)),
        env=environment_of(settings),
        ready=partial(is_serving, place),
        prepare=prepare,
        listens=((place.address, place.port),),
    )


def _controller(settings: Settings, needs: tuple[str, ...]) -> Part:
    port = settings.ports.api
    return Part(
        name="controller",
        argv=(sys.executable, "-m", "bleen.app", "controller"),
        env={**environment_of(settings), **heap.ENVIRONMENT},
        cwd=str(Path.cwd()),
        ready=http_ready(f"http://127.0.0.1:{port}/readyz"),
        needs=needs,
        patient=True,
        listens=(("127.0.0.1", port),),
        decides=True,
    )
