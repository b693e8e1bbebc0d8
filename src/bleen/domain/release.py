"""Releases: what a rollout rolls out. Made once, never changed."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, field

from bleen.domain.codec import Value, digest_of, lasting
from bleen.domain.duration import Duration
from bleen.domain.image import Digest

ServiceName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9-]{0,38}[a-z0-9]$",
        description="Lower-case letters, digits and dashes, from a letter on; 2 to 40 characters.",
        examples=["hello"],
    ),
]


class SecretRef(Value, frozen=True):
    """The name of a secret; its value is read by the machine that runs the instance and kept nowhere else."""

    secret: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$",
            description="The name of the secret: letters, digits and `._-`, from a letter on.",
            examples=["DATABASE_URL"],
        ),
    ]


class Health(Value, frozen=True):
    """When an instance may have traffic."""

    path: Annotated[
        str,
        Meta(
            pattern=r"^/\S*$",
            description="From `/` on, without spaces; answers 2xx or 3xx when the instance can serve.",
            examples=["/healthz"],
        ),
    ] = "/"
    interval: Annotated[Duration, Meta(description="Between two probes.")] = lasting("1s")
    timeout: Annotated[Duration, Meta(description="How long one probe may take.")] = lasting("1s")
    successes: Annotated[int, Meta(ge=1, description="Consecutive good probes before it is ready.")] = 2
    failures: Annotated[int, Meta(ge=1, description="Consecutive bad probes before it is sick, and replaced.")] = 3
    start_grace: Annotated[Duration, Meta(description="How long it may take to become ready before it is started anew.")] = (
        lasting("60s")
    )


class Stop(Value, frozen=True):
    """How an instance leaves: out of the split, drained, SIGTERM, SIGKILL."""

    drain: Annotated[Duration, Meta(description="The longest wait for requests under way.")] = lasting("30s")
    kill_after: Annotated[Duration, Meta(description="From SIGTERM to SIGKILL.")] = lasting("10s")


class Runtime(Value, frozen=True):
    """Everything about running a release that is not its image. Part of the release, rolled back with it."""

    command: tuple[str, ...]
    """``{address}`` and ``{port}`` stand for where the instance must listen, ``{app}`` for the image's tree."""
    port: int = 8080
    health: Health = field(default_factory=Health)
    stop: Stop = field(default_factory=Stop)
    env: dict[str, str | SecretRef] = {}
    files: dict[str, str] = {}
    """Path (below ``/etc/bleen/files``, or the folder ``$BLEEN_FILES``) to text."""


class Release(Value, frozen=True):
    """An image and a configuration under one number. Immutable."""

    service: str
    number: int
    version: str
    """The image's version, for people."""
    image: Digest
    runtime: Runtime
    config: Digest
    """The digest of ``runtime``."""
    created: datetime
    author: str
    flags: dict[str, bool | str | float] = {}
    """Flag defaults."""
    schema_version: str = ""
    """The database schema it was written for; empty where it has none."""

    @property
    def name(self) -> str:
        return f"r{self.number}"


def config_digest(runtime: Runtime) -> Digest:
    """Return the digest that two equal configurations share."""
    return digest_of(runtime)
