"""The ledger's entries: what was made, asked, decided, seen and settled. Appended, never changed."""

from datetime import datetime
from typing import Any, get_args

import msgspec

from bleen.domain.access import Session, Token
from bleen.domain.calendar import Calendar, Holiday
from bleen.domain.check import CheckResult
from bleen.domain.codec import Tagged, Value, decode, digest_of, encode, plain
from bleen.domain.command import Command
from bleen.domain.decision import Decision
from bleen.domain.errors import InvalidInput, NotFound
from bleen.domain.image import Digest
from bleen.domain.policy import Gated
from bleen.domain.release import Release
from bleen.domain.removal import RemovalStep
from bleen.domain.renewal import Renewal
from bleen.domain.rollout import Observation, Outcome, Rollout
from bleen.domain.verdict import Assessment


class ReleaseMade(Tagged, frozen=True):
    """A release was made from an image and a configuration."""

    release: Release


class RolloutStarted(Tagged, frozen=True):
    """A rollout began, with this plan."""

    rollout: Rollout
    trace: str = ""
    """The id of its trace, 32 hex digits; empty in entries of the first versions."""


class Decided(Tagged, frozen=True):
    """A decision, with what was seen when it was taken. Entered before it is carried out (law 7)."""

    decision: Decision
    seen: Observation | None = None


class Commanded(Tagged, frozen=True):
    """A person told a rollout something."""

    command: Command


class Checked(Tagged, frozen=True):
    """Checks ended."""

    results: tuple[CheckResult, ...]


class Measured(Tagged, frozen=True):
    """What the traffic had shown of a release by then. Entered every few seconds while it is measured."""

    assessment: Assessment


class Settled(Tagged, frozen=True):
    """A rollout came to its outcome, observed at every gateway. ``stable`` is the release that serves now."""

    outcome: Outcome
    stable: int | None


class Finished(Tagged, frozen=True):
    """A rollout has cleaned up behind itself, or left that to the removal of its service."""


class Scaled(Tagged, frozen=True):
    """A fleet was given another size, outside any rollout."""

    release: int
    size: int
    before: int = 0
    """The size that it had; 0 in entries of the first versions."""


class HostsChanged(Tagged, frozen=True):
    """A service was given other host names, outside any rollout."""

    before: tuple[str, ...]
    after: tuple[str, ...]


class RemovalDecided(Tagged, frozen=True):
    """A step of a removal, with what was seen when it was decided. Entered before it is carried out (law 7)."""

    step: RemovalStep
    reason: str
    """Why the service is removed; empty where nobody said."""
    seen: Observation | None = None


class ServiceRemoved(Tagged, frozen=True):
    """A service is gone from an environment: no gateway routes to it, and nothing of it runs. Its releases stay."""

    reason: str
    asked: datetime | None = None
    """When it was asked for, by the engine's clock: a deployment that was asked for before it does not bring it back."""


class TokenMade(Tagged, frozen=True):
    """A token was made. Its secret is not here."""

    token: Token


class TokenRevoked(Tagged, frozen=True):
    """A token counts no longer."""

    id: str
    name: str


class SessionOpened(Tagged, frozen=True):
    """A browser was signed in. Its secret is not here."""

    session: Session


class SessionClosed(Tagged, frozen=True):
    """A browser was signed out."""

    id: str


class GlassBroken(Tagged, frozen=True):
    """In an emergency, somebody did what wanted somebody else's approval."""

    act: str
    """What was done: ``deploy``, ``promote``."""
    reason: str


class EnvironmentFrozen(Tagged, frozen=True):
    """No rollout begins in an environment from now on, and those under way hold."""

    reason: str
    until: datetime | None = None
    """None: until somebody thaws it."""


class EnvironmentThawed(Tagged, frozen=True):
    """A freeze is over, before its time or because it had none."""

    reason: str


class CalendarSet(Tagged, frozen=True):
    """An environment goes by this calendar from now on."""

    calendar: Calendar
    holidays: tuple[Holiday, ...]


class FreezeOverridden(Tagged, frozen=True):
    """An approver had something done in a freeze."""

    act: str
    """What was done: ``deploy``, ``promote``."""
    reason: str


class NoticeLost(Tagged, frozen=True):
    """A notice did not get through to a channel in a day, or cannot."""

    kind: str
    channel: str
    why: str


class BaseRenewed(Tagged, frozen=True):
    """A base was built anew, for the fixes that were pending; what stood on the old one is to follow."""

    renewal: Renewal


class RenewalBegun(Tagged, frozen=True):
    """A release was made of what serves, on a renewed base, and is about to be rolled out. Entered before that begins."""

    renewal: Renewal
    release: int


class RenewalStopped(Tagged, frozen=True):
    """A service could not follow onto a renewed base, and is not moved onto it again."""

    renewal: Renewal
    release: int
    why: str


Event = (
    ReleaseMade
    | RolloutStarted
    | Decided
    | Commanded
    | Checked
    | Measured
    | Settled
    | Finished
    | Scaled
    | HostsChanged
    | RemovalDecided
    | ServiceRemoved
    | TokenMade
    | TokenRevoked
    | SessionOpened
    | SessionClosed
    | GlassBroken
    | EnvironmentFrozen
    | EnvironmentThawed
    | CalendarSet
    | FreezeOverridden
    | NoticeLost
    | Gated
    | BaseRenewed
    | RenewalBegun
    | RenewalStopped
)


class Draft(Value, frozen=True):
    """An entry to append. The same ``key`` twice is one entry."""

    key: str
    environment: str
    service: str
    event: Event
    by: str = ""
    rollout: str = ""
    """The id of its rollout; empty outside any."""


class Entry(Value, frozen=True):
    """An entry of the ledger. ``sequence`` only grows: it is the generation that fences splits."""

    sequence: int
    at: datetime
    key: str
    environment: str
    service: str
    event: Event
    by: str = ""
    rollout: str = ""


class Query(Value, frozen=True):
    """Which entries to read; None or empty means any. Oldest first."""

    service: str = ""
    environment: str = ""
    rollout: str = ""
    kinds: tuple[str, ...] = ()
    """Tags of events, such as ``settled``."""
    after: int = 0
    """Only entries with a larger sequence: none that comes later is missed."""
    limit: int = 1000
    newest: bool = False
    """True: the newest ``limit`` entries, newest first."""
    by: str = ""
    before: int = 0
    """Only entries with a smaller sequence; 0 means any."""
    each: int = 0
    """With ``newest``: at most so many of each service; 0 means any. What it costs does not grow with the ledger."""


KINDS = frozenset(str(kind.__struct_config__.tag) for kind in get_args(Event))
"""The tags of all events: what ``Query.kinds`` may name."""


def kind_of(event: Event) -> str:
    """Return the tag of ``event``, such as ``release-made``."""
    return str(event.__struct_config__.tag)


def write_event(event: Event) -> str:
    """Return the text that a ledger stores.

    A program may have written anything to its log, and an instance's last words are evidence: half a surrogate
    pair, which UTF-8 cannot spell, becomes U+FFFD rather than keep a decision out of the ledger.
    """
    try:
        return encode(event).decode()
    except UnicodeEncodeError:
        return encode(_mend(plain(event))).decode()


def read_event(text: str, where: str) -> Event:
    """Return the event that ``text`` spells; InvalidInput, naming ``where``, for one that this version does not know."""
    try:
        return decode(text, Event)
    except msgspec.MsgspecError as error:
        raise InvalidInput(
            "an entry of the ledger cannot be read",
            why=f"it was written by another version of Bleen, perhaps a newer one: {error}",
            next="run the version of Bleen that wrote it: bleen --version on the machine of the controller",
            where=where,
        ) from error


def check_draft(draft: Draft) -> None:
    """Refuse names that no ledger could find again: InvalidInput."""
    if not draft.key:
        raise InvalidInput("an entry needs a key", why="without one, writing it twice would make two entries")
    check_names(key=draft.key, environment=draft.environment, service=draft.service, rollout=draft.rollout, by=draft.by)


def check_query(query: Query) -> None:
    """Refuse a query that cannot mean anything: InvalidInput."""
    unknown = sorted(set(query.kinds) - KINDS)
    if unknown:
        raise InvalidInput(f"there are no entries of the kind {', '.join(unknown)}", next=f"kinds: {', '.join(sorted(KINDS))}")
    if query.limit < 0:
        raise InvalidInput(f"the limit of a query is {query.limit}", next="write 0 or more")
    if query.each < 0 or (query.each and not query.newest):
        raise InvalidInput(f"a query for {query.each} entries of each service", next="write 0 or more, and newest=True")
    check_names(service=query.service, environment=query.environment, rollout=query.rollout, by=query.by)


def check_names(**names: str) -> None:
    """Refuse NUL and half surrogates in names: InvalidInput."""
    for field, text in names.items():
        if "\0" in text or text != _mend(text):
            raise InvalidInput(f"the {field} {text!r} has a character that no name may have", next="write printable characters")


def release_content(release: Release) -> Digest:
    """Return the digest that two equal releases of a service share: image, configuration, flags, schema version."""
    same: Release = decode(encode(release), Release)
    return digest_of([same.image, same.config, same.flags, same.schema_version])


def no_release(service: str, number: int) -> NotFound:
    """Return the error of a release that was never made."""
    return NotFound(f"{service} has no release r{number}", next=f"bleen history {service} shows its releases")


def _mend(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case dict():
            return {_mend(key): _mend(item) for key, item in value.items()}
        case list():
            return [_mend(item) for item in value]
        case _:
            return value
