"""Commands: what a person may tell a running rollout, and when it makes sense."""

from datetime import datetime

from msgspec import structs

from bleen.domain.codec import Tagged
from bleen.domain.errors import NothingToDo
from bleen.domain.freeze import Reason
from bleen.domain.rollout import Aborted, Promoted, RolledBack, Rollout, Superseded
from bleen.domain.service import Canary
from bleen.domain.strategy import Analyse, Judge, Learn, StartFleet, Stay


class Advance(Tagged, frozen=True, tag="promote"):
    """Say yes to the judgement it waits for; ``full`` skips every check and judgement to come."""

    by: str
    full: bool = False


class Pause(Tagged, frozen=True):
    """Do nothing more until resumed. Rolling back stays possible."""

    by: str


class Resume(Tagged, frozen=True):
    """Go on after a pause."""

    by: str


class Exempt(Tagged, frozen=True):
    """No freeze keeps it any more: an approver says so, and why."""

    by: str
    reason: Reason


class Abort(Tagged, frozen=True):
    """Stop an unpromoted rollout and give all traffic to the old release."""

    by: str


class GoBack(Tagged, frozen=True, tag="rollback"):
    """Give all traffic to the old release, promoted or not."""

    by: str


class Scale(Tagged, frozen=True):
    """Change the number of instances, in mid-rollout."""

    by: str
    size: int


class Rename(Tagged, frozen=True):
    """Answer to other host names from now on; what serves stays as it is."""

    by: str
    hosts: tuple[str, ...]


class Supersede(Tagged, frozen=True):
    """A newer release waits: end in order, as soon as it is safe."""

    by: str
    release: int


Command = Advance | Pause | Resume | Exempt | Abort | GoBack | Scale | Rename | Supersede


def accept(rollout: Rollout, command: Command, now: datetime) -> Rollout:
    """Return ``rollout`` with ``command`` taken; NothingToDo, with the reason, where it makes no sense."""
    match command:
        case Advance():
            return _advance(rollout, command, now)
        case Pause(by):
            _unsettled(rollout, "pause")
            return rollout if rollout.paused_since else structs.replace(rollout, paused_since=now, paused_by=by)
        case Resume():
            if rollout.paused_since is None:
                raise NothingToDo(f"{rollout.id} is not paused", next=f"bleen status {rollout.service}")
            return rollout.resumed(now)
        case Exempt():
            return _exempt(rollout, command)
        case Abort(by):
            _unsettled(rollout, "abort")
            return structs.replace(rollout.resumed(now), retreat=Aborted(by))
        case GoBack(by):
            return _go_back(rollout, by, now)
        case Scale(_, size):
            return _scaled(rollout, size)
        case Rename(_, hosts):
            return structs.replace(rollout, hosts=hosts)
        case Supersede(_, release):
            return _supersede(rollout, release, now)


def _exempt(rollout: Rollout, command: Exempt) -> Rollout:
    if rollout.held_since is None or rollout.retreat is not None:
        raise NothingToDo(f"no freeze holds {rollout.id}", next=f"bleen status {rollout.service}")
    return structs.replace(rollout, exempt=f"{command.by}: {command.reason}")


def _scaled(rollout: Rollout, size: int) -> Rollout:
    """A canary that is a part of the service stays the same part of it."""
    steps = rollout.steps
    if isinstance(rollout.strategy, Canary):
        steps = tuple(
            structs.replace(step, size=min(size, -(-step.size * size // rollout.size)))
            if isinstance(step, StartFleet) and step.size
            else step
            for step in steps
        )
    return structs.replace(rollout, size=size, stable_size=size, steps=steps)


def _unsettled(rollout: Rollout, verb: str) -> None:
    if rollout.outcome is not None or rollout.retreat is not None:
        state = "is settled already" if rollout.outcome is not None else "is going back already"
        hint = f"bleen rollback {rollout.service}" if isinstance(rollout.outcome, Promoted) else ""
        raise NothingToDo(f"nothing to {verb}: {rollout.id} {state}", next=hint and f"to undo it: {hint}")


def _advance(rollout: Rollout, command: Advance, now: datetime) -> Rollout:
    _unsettled(rollout, "promote")
    going = rollout.resumed(now)
    if command.full:
        return structs.replace(going, full_by=command.by)
    if isinstance(rollout.current, Judge | Stay | Learn | Analyse):
        return structs.replace(going, approved_by=command.by)
    if rollout.paused_since is not None:
        return going
    raise NothingToDo(
        f"{rollout.id} waits for no approval now", next=f"bleen promote {rollout.service} --full skips its remaining checks"
    )


def _go_back(rollout: Rollout, by: str, now: datetime) -> Rollout:
    if rollout.retreat is not None:
        raise NothingToDo(f"{rollout.id} is going back already", next=f"bleen status {rollout.service} --watch")
    if rollout.stable is None:
        raise NothingToDo(f"{rollout.id} is the first release: there is nothing to go back to")
    if rollout.successor is not None and rollout.outcome is not None:
        raise NothingToDo(f"r{rollout.successor} is about to replace it", next=f"bleen status {rollout.service} --watch")
    return structs.replace(rollout.resumed(now), retreat=RolledBack(f"asked for by {by}"), outcome=None, settled=None)


def _supersede(rollout: Rollout, release: int, now: datetime) -> Rollout:
    waiting = structs.replace(rollout.resumed(now), successor=release)
    if rollout.outcome is not None or rollout.retreat is not None:
        return waiting
    return structs.replace(waiting, retreat=Superseded(release))
