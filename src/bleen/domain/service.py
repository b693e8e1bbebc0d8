"""The service file, ``applications/<name>/service.yaml``, as types. Unknown keys are refused at the door."""

from typing import Annotated

from msgspec import Meta, field

from bleen.domain.canary import Affinity, Analysis, CanaryStep, Preset, Unsure
from bleen.domain.check import Check
from bleen.domain.codec import Tagged, Text, Value, lasting
from bleen.domain.duration import Duration
from bleen.domain.image import RelativePath, Source
from bleen.domain.release import Health, SecretRef, ServiceName, Stop

HostName = Annotated[
    str,
    Meta(
        pattern=r"^(?!preview\.)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        max_length=253,
        description="A host name in lower case, without scheme and port; `preview.*` is for previews.",
        examples=["hello.localhost"],
    ),
]
EnvName = Annotated[
    str,
    Meta(
        pattern=r"^(?!BLEEN_)[A-Za-z_][A-Za-z0-9_]*$",
        description="Letters, digits and underscores; `BLEEN_*` belongs to Bleen.",
        examples=["LOG_LEVEL"],
    ),
]
FileName = Annotated[
    str,
    Meta(
        pattern=r"^(?!\.{1,2}(/|$))(?!.*/\.{1,2}(/|$))[A-Za-z0-9._@+-]+(/[A-Za-z0-9._@+-]+)*$",
        description="A name or a path below `$BLEEN_FILES`: letters, digits and `._@+-`.",
        examples=["settings.toml"],
    ),
]


class Checks(Value, frozen=True):
    """What may refuse or reverse a release."""

    before: Annotated[
        tuple[Check, ...], Meta(description="On the preview, before any traffic; a failure refuses the release.")
    ] = ()
    after: Annotated[tuple[Check, ...], Meta(description="With all traffic on it; a failure reverses the release.")] = ()


class _Change(Tagged, frozen=True):
    """What every way of changing version has."""

    warm: Annotated[Duration, Meta(description="How long the old fleet stays ready for an instant rollback.")] = lasting("10m")
    abort_delay: Annotated[Duration, Meta(description="How long a refused fleet is kept after the last request.")] = lasting(
        "30s"
    )
    progress_deadline: Annotated[Duration, Meta(description="Without progress for this long, it is rolled back.")] = lasting(
        "10m"
    )
    crash_limit: Annotated[int, Meta(ge=1, description="Crashes in a fleet with nothing ready before it is refused.")] = 3
    rollback_window: Annotated[
        int, Meta(ge=0, description="Going back to one of so many last promoted releases skips checks and approval.")
    ] = 3
    checks: Annotated[Checks, Meta(description="What may refuse or reverse a release.")] = field(default_factory=Checks)


class BlueGreen(_Change, frozen=True):
    """A second fleet beside the first, checked, then all traffic in one split change."""

    auto_promote: Annotated[bool, Meta(description="False waits for `bleen promote` before the switch.")] = True
    auto_promote_after: Annotated[
        Duration | None, Meta(description="With auto_promote false: switch after this time even if no one came.")
    ] = None
    preview_instances: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Size of the new fleet until the switch is near; default: all instances."),
    ] = None


class Canary(_Change, frozen=True):
    """A share of the users' own traffic decides, then all of it is switched, or none of it stays."""

    preset: Annotated[
        Preset,
        Meta(
            description="`quick`: 20 % for up to 5 minutes; `normal`: 10 % for up to 30 minutes; `careful`: 1, 10 and 50 %, "
            "each for up to an hour, and a person is asked where the traffic does not tell."
        ),
    ] = Preset.NORMAL
    steps: Annotated[
        tuple[CanaryStep, ...], Meta(description="Steps of one's own in place of a preset's; all traffic is last.")
    ] = ()
    analysis: Annotated[Analysis, Meta(description="What the traffic must show.")] = field(default_factory=Analysis)
    inconclusive: Annotated[
        Unsure | None,
        Meta(description="`rollback`, or `ask` a person, where the traffic does not tell in time; default: by preset."),
    ] = None
    side_by_side: Annotated[
        bool,
        Meta(
            description="For a service that takes its work from a queue: a `weight` is a share of instances that work beside "
            "the others, and what its `analysis.metrics` count decides."
        ),
    ] = False
    baseline: Annotated[
        bool,
        Meta(
            description="Compare with a fleet of the stable release that is started beside the new one, as large and as young, "
            "and has as many requests; it ends with the comparison. Left out: with the stable fleet itself."
        ),
    ] = False
    min_instances: Annotated[int, Meta(ge=1, le=1000, description="The new fleet is never smaller.")] = 1
    patience: Annotated[
        Duration, Meta(description="A canary that waits for a person for longer than this was abandoned, and is rolled back.")
    ] = lasting("1d")
    affinity: Annotated[
        Affinity | None, Meta(description="Users stay with their release; left out: each request is on its own.")
    ] = None


Strategy = BlueGreen | Canary


class Service(Value, frozen=True):
    """A service: what it is made of, how it runs, how it changes version."""

    service: Annotated[
        ServiceName,
        Meta(
            description="The name of the service and of its folder: lower-case letters, digits and dashes, from a letter on; "
            "2 to 40 characters."
        ),
    ]
    image: Annotated[Source, Meta(description="What it is made of.")]
    command: Annotated[
        tuple[Text, ...],
        Meta(
            min_length=1,
            description="What an instance runs: `{address}` and `{port}` say where to listen, `{app}` is its folder.",
            examples=[["python", "{app}/server.py"]],
        ),
    ]
    instances: Annotated[int, Meta(ge=1, le=1000, description="How many instances serve it.")] = 2
    port: Annotated[int, Meta(ge=1024, le=65535, description="The port of every instance, each on an address of its own.")] = (
        8080
    )
    health: Annotated[Health, Meta(description="When an instance may have traffic.")] = field(default_factory=Health)
    stop: Annotated[Stop, Meta(description="How an instance leaves.")] = field(default_factory=Stop)
    env: Annotated[
        dict[EnvName, Text | SecretRef],
        Meta(description="Environment; a secret is `{secret: NAME}`.", examples=[{"LOG_LEVEL": "info"}]),
    ] = {}
    files: Annotated[
        dict[FileName, RelativePath],
        Meta(
            description="Configuration files that the instance finds in `$BLEEN_FILES`: name there, path here.",
            examples=[{"settings.toml": "settings.toml"}],
        ),
    ] = {}
    hosts: Annotated[tuple[HostName, ...], Meta(description="Host names; none means `<service>.localhost`.")] = ()
    strategy: Annotated[Strategy, Meta(description="How it changes version.")] = field(default_factory=BlueGreen)

    @property
    def host_names(self) -> tuple[str, ...]:
        """Where it answers: its ``hosts``, or ``<service>.localhost``."""
        return self.hosts or (f"{self.service}.localhost",)
