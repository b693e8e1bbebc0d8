"""The environment, parsed once into a frozen value and passed on."""

import hashlib
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from msgspec import field

from bleen.domain.allowance import Allowance
from bleen.domain.codec import Value
from bleen.domain.duration import Duration
from bleen.domain.errors import InvalidInput
from bleen.domain.renewal import Timetable

_OFTEN = Duration.parse("1m")
PROVIDERS = ("local", "azure")


class Ports(Value, frozen=True):
    """Where the parts of one platform listen, all on loopback. 0 means: any free one, remembered in the home."""

    gateway: int = 8080
    api: int = 8070
    engine: int = 0
    engine_http: int = 0
    postgres: int = 0
    gateway_admin: int = 0
    services: int = 8100
    """The first of the ports that services have of their own."""


class EngineAccess(Value, frozen=True):
    """How to reach a workflow engine. An embedded one has no TLS and no key."""

    address: str = ""
    namespace: str = "default"
    tls: bool = False
    """Implied by a key or a certificate."""
    ca: str = ""
    """The path of the authority's certificate; empty: the machine's."""
    certificate: str = ""
    """The path of the client's certificate."""
    key: str = ""
    """The path of its private key."""
    api_key: str = ""

    def __repr__(self) -> str:
        return f"EngineAccess({self.address}, {self.namespace})"


class Settings(Value, frozen=True):
    """How one platform runs."""

    home: str
    """The folder of all state, absolute."""
    runtime: str
    """The folder of sockets, short enough for a unix socket's path limit of 108 bytes."""
    environment: str
    regions: tuple[str, ...]
    ports: Ports
    server: str
    """Where the command line finds the API; empty: the platform of ``home``."""
    token: str
    """For a remote server; empty: the token of ``home``."""
    engine_address: str
    """A Temporal cluster; empty: embedded."""
    database_url: str
    """A PostgreSQL server; empty: embedded."""
    notify: tuple[str, ...] = ()
    """The command that gets each notice as JSON on its standard input; empty: the log has warnings and what is critical."""
    channels: str = ""
    """The file that says where notices go; empty: to ``notify`` alone."""
    engine: EngineAccess = EngineAccess()
    """How to reach the cluster of ``engine_address``."""
    engine_binary: str = ""
    """The program of the embedded engine; empty: the packaged one."""
    prometheus_url: str = ""
    """The Prometheus that custom metrics ask; empty: none."""
    database_owner_url: str = ""
    """For a role that owns the tables, and migrates; empty: the role of ``database_url`` owns them."""
    four_eyes: tuple[str, ...] = ()
    """Environments where nobody approves what they deployed themselves."""
    hosts: tuple[str, ...] = ()
    """Names under which the API is asked, beside those of this machine: of a proxy before it."""
    rate: Allowance | None = None
    """How often one token may ask the API; None: as often as it likes."""
    strangers_rate: Allowance | None = None
    """How often one address may ask without a token that counts."""
    traces_url: str = ""
    """Whether traces go anywhere: an address of OpenTelemetry's own variables, which its exporter reads itself."""
    gateway_name: str = ""
    """What the agent beside an Envoy calls it: the name of its machine; empty: the host name."""
    gateway_address: str = "127.0.0.1"
    """Where an Envoy listens that has its machine to itself."""
    provider: str = "local"
    """Where fleets run: one of `PROVIDERS`."""
    azure_site: str = ""
    """The file that describes one region in Azure; empty: none."""
    azure_bake: tuple[str, ...] = ()
    """The command that makes a version of the gallery of an image; empty: a pipeline does."""
    azure_look: Duration = Duration.parse("10s")
    """The least time between two looks of Resource Manager at what changes."""
    guest_port: int = 8060
    """Where the guest of a machine in Azure answers the health extension, on loopback."""
    guest_images: str = ""
    """The home whose store has the machine's image; empty: ``home``."""
    guest_metadata: str = ""
    """Where Azure's metadata service answers; empty: where it does on every machine."""
    access_file: str = ""
    """The file that says whose tokens count, and who gets which role; empty: those of the ledger alone."""
    osv_url: str = ""
    """The server that speaks OSV's API, which is asked for advisories; empty: none."""

    patches: Timetable = field(default_factory=Timetable)
    """When bases are built anew, and in which order services follow."""

    @property
    def path(self) -> Path:
        return Path(self.home)

    @property
    def runtime_path(self) -> Path:
        return Path(self.runtime)


def read_settings(environ: Mapping[str, str] = os.environ, folder: Path | None = None) -> Settings:
    """Return the settings that ``environ`` spells; InvalidInput names the variable that is wrong."""
    home = (Path(environ.get("BLEEN_HOME") or (folder or Path.cwd()) / ".bleen")).absolute()
    return Settings(
        home=str(home),
        runtime=str(_runtime_folder(environ, home)),
        environment=environ.get("BLEEN_ENVIRONMENT", "dev"),
        regions=tuple(environ.get("BLEEN_REGIONS", "local").split(",")),
        ports=Ports(
            gateway=_port(environ, "BLEEN_GATEWAY_PORT", 8080),
            api=_port(environ, "BLEEN_API_PORT", 8070),
            engine=_port(environ, "BLEEN_ENGINE_PORT", 0),
            engine_http=_port(environ, "BLEEN_ENGINE_HTTP_PORT", 0),
            postgres=_port(environ, "BLEEN_POSTGRES_PORT", 0),
            gateway_admin=_port(environ, "BLEEN_GATEWAY_ADMIN_PORT", 0),
            services=_port(environ, "BLEEN_SERVICE_PORTS", 8100),
        ),
        server=environ.get("BLEEN_SERVER", ""),
        token=environ.get("BLEEN_TOKEN", ""),
        engine_address=environ.get("BLEEN_ENGINE_ADDRESS", ""),
        database_url=environ.get("BLEEN_DATABASE_URL", ""),
        notify=_command(environ, "BLEEN_NOTIFY"),
        channels=_path(environ, "BLEEN_CHANNELS"),
        engine=_engine_access(environ),
        engine_binary=environ.get("BLEEN_ENGINE_BINARY", ""),
        prometheus_url=environ.get("BLEEN_PROMETHEUS_URL", ""),
        database_owner_url=environ.get("BLEEN_DATABASE_OWNER_URL", ""),
        four_eyes=_names(environ, "BLEEN_FOUR_EYES"),
        hosts=_names(environ, "BLEEN_API_HOSTS"),
        rate=_allowance(environ, "BLEEN_API_RATE", "100/400"),
        strangers_rate=_allowance(environ, "BLEEN_API_RATE_STRANGERS", "5/50"),
        traces_url=environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
        gateway_name=environ.get("BLEEN_GATEWAY_NAME", ""),
        gateway_address=environ.get("BLEEN_GATEWAY_ADDRESS", "127.0.0.1"),
        provider=_provider(environ),
        azure_site=environ.get("BLEEN_AZURE_SITE", ""),
        azure_bake=_command(environ, "BLEEN_AZURE_BAKE"),
        azure_look=_duration(environ, "BLEEN_AZURE_LOOK", Duration.parse("10s")),
        guest_port=_port(environ, "BLEEN_GUEST_PORT", 8060),
        guest_images=_path(environ, "BLEEN_GUEST_IMAGES"),
        guest_metadata=environ.get("BLEEN_GUEST_METADATA", ""),
        access_file=_path(environ, "BLEEN_ACCESS_FILE"),
        osv_url=environ.get("BLEEN_OSV_URL", ""),
        patches=_timetable(environ),
    )


def _provider(environ: Mapping[str, str]) -> str:
    text = environ.get("BLEEN_PROVIDER", "") or PROVIDERS[0]
    if text not in PROVIDERS:
        next = f"write one of {', '.join(PROVIDERS)}"
        raise InvalidInput(f"BLEEN_PROVIDER={text} is no provider", next=next, where="environment")
    if text == "azure" and not environ.get("BLEEN_AZURE_SITE"):
        next = "set BLEEN_AZURE_SITE to the file that describes it"
        raise InvalidInput("BLEEN_PROVIDER=azure, and no site is named", next=next, where="environment")
    return text


def _timetable(environ: Mapping[str, str]) -> Timetable:
    usual = Timetable()
    off = environ.get("BLEEN_PATCH_WATCH", "") == "off"
    every = None if off else _duration(environ, "BLEEN_PATCH_WATCH", usual.every or _OFTEN)
    if every is not None and every < _OFTEN:
        next = f"write {_OFTEN} or more, or off"
        raise InvalidInput(f"BLEEN_PATCH_WATCH={every} is too often to ask a mirror", next=next, where="environment")
    return Timetable(
        every=every,
        day=_day(environ, "BLEEN_PATCH_DAY", usual.day),
        environments=_names(environ, "BLEEN_PATCH_ENVIRONMENTS") or usual.environments,
        soak=_duration(environ, "BLEEN_PATCH_SOAK", usual.soak),
    )


def _duration(environ: Mapping[str, str], name: str, default: Duration) -> Duration:
    text = environ.get(name, "")
    try:
        return Duration.parse(text) if text else default
    except ValueError as error:
        raise InvalidInput(f"{name}={text} is no duration", next="write for example 30m or 6h", where="environment") from error


def _day(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "") or str(default)
    if not text.isdecimal() or not 0 <= int(text) <= 28:
        next = "write a number from 1 to 28, which every month has, or 0 for never"
        raise InvalidInput(f"{name}={text} is no day of a month", next=next, where="environment")
    return int(text)


def _engine_access(environ: Mapping[str, str]) -> EngineAccess:
    return EngineAccess(
        address=environ.get("BLEEN_ENGINE_ADDRESS", ""),
        namespace=environ.get("BLEEN_ENGINE_NAMESPACE", "default"),
        tls=environ.get("BLEEN_ENGINE_TLS", "") not in ("", "0", "false"),
        ca=environ.get("BLEEN_ENGINE_TLS_CA", ""),
        certificate=environ.get("BLEEN_ENGINE_TLS_CERT", ""),
        key=environ.get("BLEEN_ENGINE_TLS_KEY", ""),
        api_key=environ.get("BLEEN_ENGINE_API_KEY", ""),
    )


def _names(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in environ.get(name, "").split(",") if part.strip())


def _command(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(environ.get(name, "")))
    except ValueError as error:
        why = str(error).lower()
        raise InvalidInput(f"{name} is no command", why=why, next="close its quotes", where="environment") from error


def _allowance(environ: Mapping[str, str], name: str, default: str) -> Allowance | None:
    """Return ``100/400`` as a rate and a burst; None for ``off``."""
    text = environ.get(name, "") or default
    if text == "off":
        return None
    rate, _, burst = text.partition("/")
    try:
        found = Allowance(float(rate), float(burst or rate))
    except ValueError:
        found = Allowance(0, 0)
    if not (0 < found.rate < 1e6 and 1 <= found.burst < 1e6):
        next = "write requests a second, and how many at once, such as 100/400; or off"
        raise InvalidInput(f"{name}={text} is no rate", next=next, where="environment")
    return found


def _path(environ: Mapping[str, str], name: str) -> str:
    return str(Path(environ[name]).absolute()) if environ.get(name) else ""


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "")
    if not text:
        return default
    if not text.isdigit() or not 0 <= int(text) <= 65535:
        raise InvalidInput(
            f"{name}={text} is no port", next="write a number from 0 (any free one) to 65535", where="environment"
        )
    return int(text)


def _runtime_folder(environ: Mapping[str, str], home: Path) -> Path:
    base = Path(environ.get("XDG_RUNTIME_DIR") or "/tmp")
    return base / f"bleen-{os.getuid()}-{hashlib.sha256(str(home).encode()).hexdigest()[:10]}"
