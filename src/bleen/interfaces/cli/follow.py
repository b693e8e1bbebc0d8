"""Watches a rollout until it is settled: a live view for a person, a line per change for a log."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from msgspec import structs

from bleen.domain.check import CheckResult
from bleen.domain.errors import NotFound, NothingToDo, Transient
from bleen.domain.fleet import Fleet, Instance
from bleen.domain.ledger import Checked, Measured
from bleen.domain.rollout import Outcome, Promoted, ReleaseRef
from bleen.domain.verdict import Assessment
from bleen.interfaces.cli.session import Session
from bleen.interfaces.views import ServiceView, View

if TYPE_CHECKING:
    from bleen.interfaces.client import Client

PATIENCE = 60.0
"""Seconds without an answer of the server before watching ends. The rollout itself goes on."""
_PAUSE = 0.2
_TURN_SECONDS = 3.0
"""From the end of one rollout to the beginning of the next it takes less."""


class Ending(View, frozen=True):
    """How a rollout ended, with what is needed to mend it."""

    environment: str
    service: str
    rollout: str
    release: ReleaseRef
    replaced: ReleaseRef | None
    """The release that it came from, or went back to."""
    outcome: Outcome
    seconds: float | None = None
    failed_check: CheckResult | None = None
    crashed: Instance | None = None
    """The instance of the new release that ended last, with its last words."""
    assessment: Assessment | None = None
    """What its traffic had shown last; None where it was not measured."""


@dataclass
class Quest:
    """Which rollout to watch: one of ``release`` that was not there ``before``, or the one called ``rollout``."""

    environment: str
    service: str
    release: int
    rollout: str = ""
    before: frozenset[str] = frozenset()
    returning: bool = False
    """It goes back: that it was promoted before is not its end."""
    began: float = field(default_factory=time.monotonic)
    crashed: Instance | None = None
    told: list[str] = field(default_factory=list)
    missed: int = 0
    """How often in a row nothing was under way, while its own rollout had not begun."""


def rollouts_of(client: "Client", environment: str, service: str) -> frozenset[str]:
    """Return the ids of the latest rollouts of ``service``; none where it is new."""
    try:
        return frozenset(r.id for r in client.service(environment, service).history)
    except NotFound:
        return frozenset()


def follow(session: Session, client: "Client", quest: Quest) -> Ending:
    """Show ``quest`` until it is settled; Unreachable after a minute without an answer."""
    with _screen(session, quest) as show:
        for view in _views(client, quest):
            ending = _ending(view, quest)
            if view is not None and not quest.rollout:
                _check_turn(client, view, quest)
            show(view)
            if ending is not None:
                return _complete(client, ending)
    raise AssertionError("unreachable: views never end")


def _views(client: "Client", quest: Quest) -> Iterator[ServiceView | None]:
    """Yield what the service looks like, again and again; None while the server is silent."""
    silent_since: float | None = None
    while True:
        try:
            yield client.service(quest.environment, quest.service)
            silent_since = None
        except (Transient, NotFound):  # NotFound: accepted, and not in the ledger yet
            now = time.monotonic()
            silent_since = silent_since or now
            if now - silent_since > PATIENCE:
                raise
            yield None
        time.sleep(_PAUSE)


def _ending(view: ServiceView | None, quest: Quest) -> Ending | None:
    """Take from ``view`` what belongs to the quest; return its ending once it is settled."""
    if view is None:
        return None
    progress = view.progress
    if progress is not None and _meant(quest, progress.rollout.id, progress.rollout.target.number):
        quest.rollout = progress.rollout.id
        quest.crashed = _crashed(view.fleets, quest) or quest.crashed
    past = next((p for p in view.history if _meant(quest, p.id, p.target.number)), None)
    if past is None or past.outcome is None or (quest.returning and isinstance(past.outcome, Promoted)):
        return None
    return Ending(
        environment=quest.environment,
        service=quest.service,
        rollout=past.id,
        release=past.target,
        replaced=past.origin,
        outcome=past.outcome,
        seconds=time.monotonic() - quest.began if quest.returning else past.seconds,
        crashed=quest.crashed,
    )


def _check_turn(client: "Client", view: ServiceView, quest: Quest) -> None:
    """Raise NothingToDo where a release that waits for the rollout before it will never have its turn."""
    name, history = f"r{quest.release}", f"bleen history {quest.service}"
    if view.progress is not None:
        other = view.progress.rollout.successor
        if other not in (None, quest.release):
            why = f"a newer deployment came before {name} had its turn"
            raise NothingToDo(f"{name} of {quest.service} gave its place to r{other}", why=why, next=history)
        return
    waits = any((r.environment, r.service) == (quest.environment, quest.service) for r in client.rollouts().rollouts)
    quest.missed = 0 if waits or view.silent else quest.missed + 1
    if quest.missed * _PAUSE > _TURN_SECONDS:
        why = "what was under way has ended, and nothing follows it: the release serves already, or could not begin"
        raise NothingToDo(f"{name} of {quest.service} is not rolled out", why=why, next=history)


def _complete(client: "Client", ending: Ending) -> Ending:
    """Add the check that failed last and what was measured last, by the ledger: a rollout can end between two looks."""
    events = [line.event for line in client.explain(ending.rollout).lines]
    results = [r for event in events if isinstance(event, Checked) for r in event.results]
    return structs.replace(
        ending,
        failed_check=next((r for r in reversed(results) if not r.passed), None),
        assessment=next((event.assessment for event in reversed(events) if isinstance(event, Measured)), None),
    )


def _meant(quest: Quest, rollout: str, release: int) -> bool:
    return rollout == quest.rollout if quest.rollout else release == quest.release and rollout not in quest.before


def _crashed(fleets: tuple[Fleet, ...], quest: Quest) -> Instance | None:
    ended = [i for f in fleets if f.release == quest.release for i in f.instances if i.last_exit]
    return max(ended, key=lambda i: i.since, default=None)


class _Show(Protocol):
    def __call__(self, view: ServiceView | None) -> None: ...


@contextmanager
def _screen(session: Session, quest: Quest) -> Iterator[_Show]:
    if session.json:
        yield lambda view: None
    elif session.live:
        with _live(session, quest) as show:
            yield show
    else:
        yield _lines(session, quest)


@contextmanager
def _live(session: Session, quest: Quest) -> Iterator[_Show]:
    from rich.live import Live

    from bleen.interfaces.cli.tree import rollout_lines, stack

    with Live(console=session.console(), transient=True, refresh_per_second=8) as live:

        def show(view: ServiceView | None) -> None:
            if view is None:
                live.update(stack(["the server does not answer; the rollout goes on without it"], session.width))
            else:
                live.update(stack(rollout_lines(view, compact=True), session.width))

        yield show


def _lines(session: Session, quest: Quest) -> _Show:
    from bleen.interfaces.cli.tree import progress_line

    started = time.monotonic()

    def show(view: ServiceView | None) -> None:
        line = (
            "the server does not answer; the rollout goes on without it" if view is None else progress_line(view, quest.rollout)
        )
        if line and quest.told[-1:] != [line]:
            quest.told.append(line)
            session.say(f"{time.monotonic() - started:6.1f}s  {line}", " " * 9)

    return show
