"""The API as an application, and as a server beside the worker in one event loop."""

import socket
from typing import Any

import uvicorn
from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.plugins.prometheus import PrometheusConfig, PrometheusController

from bleen import __version__
from bleen.domain.access import Role
from bleen.domain.duration import Duration
from bleen.domain.errors import PortTaken
from bleen.interfaces.api import (
    audit,
    deployments,
    events,
    freezes,
    images,
    logins,
    notices,
    overview,
    parts,
    patches,
    services,
    signals,
    signing_in,
    standing,
    tokens,
)
from bleen.interfaces.api.entrance import Entrance
from bleen.interfaces.api.events import Newsroom
from bleen.interfaces.api.faults import FAULTS
from bleen.interfaces.api.guard import Guard, Rolls, asker, authorise
from bleen.interfaces.api.keyring import Keyring
from bleen.interfaces.api.limits import Limits
from bleen.interfaces.api.once import LARGEST, Once
from bleen.interfaces.api.providers import Providers
from bleen.interfaces.api.schema import Description
from bleen.interfaces.api.sessions import Sessions
from bleen.interfaces.api.signals import Signals
from bleen.interfaces.console import pages
from bleen.providers.web import ImpatientProtocol, WebServer

ROOMS = (
    parts,
    images,
    patches,
    services,
    standing,
    freezes,
    overview,
    signals,
    deployments,
    audit,
    tokens,
    signing_in,
    logins,
    notices,
    events,
)
ROUTES = tuple(route for room in ROOMS for route in room.ROUTES)
METRICS = PrometheusConfig(app_name="bleen", prefix="bleen", group_path=True, exclude=["/healthz", "/readyz"])


class MetricsPage(PrometheusController):
    """What the API met, for Prometheus."""

    path = "/metrics"
    opt = {"needs": Role.VIEWER, "within": "any"}
    include_in_schema = False


def build_api(providers: Providers, token: str) -> Litestar:
    """Return the API over ``providers``; everything but signs of life and the console's files wants ``token``."""
    keyring = Keyring(providers.ledger, token, providers.clock)
    sessions = Sessions(providers.ledger, keyring, providers.clock)
    entrance = Entrance(providers.access, providers.issuers, keyring, providers.clock)
    limits = Limits(providers.rate, providers.strangers_rate)
    watched = Signals(providers.metrics, providers.gateway, providers.clock)
    newsroom = Newsroom(providers.ledger)
    return Litestar(
        route_handlers=[*ROUTES, *pages(), MetricsPage],
        dependencies={
            "providers": Provide(lambda: providers, sync_to_thread=False),
            "keyring": Provide(lambda: keyring, sync_to_thread=False),
            "sessions": Provide(lambda: sessions, sync_to_thread=False),
            "entrance": Provide(lambda: entrance, sync_to_thread=False),
            "signals": Provide(lambda: watched, sync_to_thread=False),
            "newsroom": Provide(lambda: newsroom, sync_to_thread=False),
            "asker": Provide(asker, sync_to_thread=False),
        },
        middleware=[METRICS.middleware, Guard(Rolls(keyring, sessions, entrance, limits), providers.hosts), Once()],
        request_max_body_size=LARGEST,
        guards=[authorise],
        state=State({"environment": providers.environment}),
        exception_handlers=FAULTS,
        type_encoders={Duration: str},
        type_decoders=[(_is_duration, _duration)],
        openapi_config=_openapi(),
        logging_config=None,
    )


async def serve(api: Litestar, port: int) -> None:
    """Answer on ``port`` of the loopback until cancelled or told to stop by a signal; PortTaken."""
    # Bound here, because uvicorn answers a taken port by ending the process.
    with _listen(port) as door:
        await WebServer(config_of(api)).serve(sockets=[door])


def config_of(api: Litestar) -> uvicorn.Config:
    """Return how the API is served."""
    # The guard itself looks at what a proxy says of an address: uvicorn would believe any program of this machine.
    quiet: dict[str, Any] = {"log_level": "warning", "access_log": False, "proxy_headers": False}
    return uvicorn.Config(api, http=ImpatientProtocol, timeout_graceful_shutdown=2, lifespan="on", **quiet)


def _listen(port: int) -> socket.socket:
    # The protocol is named because asyncio asks for it: only then does a body not wait 40 ms for the head's acknowledgement.
    door = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(("127.0.0.1", port))
    except OSError as error:
        door.close()
        raise PortTaken(
            f"port {port} is taken", why="another program listens there", next="set BLEEN_API_PORT to a free one, or to 0"
        ) from error
    return door


def _openapi() -> OpenAPIConfig:
    bearer = SecurityScheme(type="http", scheme="bearer", description="The text of `<home>/token`.")
    return OpenAPIConfig(
        title="Bleen",
        version=__version__,
        components=[Components(security_schemes={"token": bearer})],
        security=[{"token": []}],
        render_plugins=[Description("/openapi.json", ROUTES)],
        path="/schema",
    )


def _is_duration(kind: Any) -> bool:
    return kind is Duration


def _duration(kind: type, value: Any) -> Duration:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a duration; write for example 30s, 10m or 1h30m")
    return Duration.parse(value)
