"""Channels: where notices go, which of them, and from which environments."""

from typing import Annotated

from msgspec import Meta

from bleen.domain.codec import Tagged, Value
from bleen.domain.notice import Level, Notice
from bleen.domain.release import SecretRef

Name = Annotated[
    str,
    Meta(pattern=r"^[a-z][a-z0-9-]{0,39}$", description="A name of its own: letters, digits and `-`.", examples=["on-call"]),
]
Address = Annotated[
    str, Meta(pattern=r"^[^@\s,<>]+@[^@\s,<>]+$", description="An address of e-mail.", examples=["on-call@example.org"])
]


class Channel(Tagged, frozen=True, kw_only=True):
    """What every channel has."""

    name: Name
    level: Annotated[Level, Meta(description="The least that it hears of: info, warning or critical.")] = Level.INFO
    environments: Annotated[
        tuple[str, ...], Meta(description="The environments that it hears of; none: of all, and of what belongs to none.")
    ] = ()

    def hears(self, notice: Notice) -> bool:
        """Return whether ``notice`` is for it."""
        return notice.level.rank >= self.level.rank and (not self.environments or notice.environment in self.environments)


class Webhook(Channel, frozen=True, kw_only=True):
    """A program, by HTTP: signed as Standard Webhooks 1.0.0 says (standardwebhooks.com)."""

    url: Annotated[str | SecretRef, Meta(description="Where to; a secret where the address itself opens a door.")]
    key: Annotated[SecretRef, Meta(description="The secret that signs: `whsec_` and 24 to 64 bytes in base64.")]


class Mail(Channel, frozen=True, kw_only=True):
    """People, by e-mail."""

    server: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9.-]+:[0-9]{1,5}$",
            description="The server that takes it, with its port.",
            examples=["smtp.example.org:587"],
        ),
    ]
    sender: Annotated[Address, Meta(description="Whom it is from.")]
    to: Annotated[tuple[Address, ...], Meta(min_length=1, description="Whom it is for.")]
    security: Annotated[
        str, Meta(pattern=r"^(starttls|tls|none)$", description="`starttls`, `tls`, or `none`, for a server on this machine.")
    ] = "starttls"
    user: Annotated[str, Meta(description="Who signs in at the server; none: nobody.")] = ""
    password: Annotated[SecretRef | None, Meta(description="The secret of who signs in.")] = None


class Chat(Channel, frozen=True, kw_only=True):
    """People, in a chat or on a pager: whatever the library apprise speaks to (Slack, Teams, Matrix, PagerDuty, ntfy, ...)."""

    url: Annotated[SecretRef, Meta(description="The secret that has the address, as apprise spells it: it has a token in it.")]


AnyChannel = Webhook | Mail | Chat


class Channels(Value, frozen=True):
    """Where notices go."""

    channels: Annotated[tuple[AnyChannel, ...], Meta(description="Each of them hears for itself.")] = ()


def twice(channels: Channels) -> str:
    """Return a name that two channels have; empty where none is."""
    names = [channel.name for channel in channels.channels]
    return next((name for name in names if names.count(name) > 1), "")
