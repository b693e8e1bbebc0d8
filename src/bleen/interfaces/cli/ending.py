"""What `bleen down` would interrupt: the rollouts under way, and what becomes of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import structs

from bleen.domain.errors import AlreadyRunning, BleenError
from bleen.interfaces.cli.session import Session

if TYPE_CHECKING:
    from bleen.domain.rollout import Rollout
    from bleen.interfaces.client import Client
    from bleen.workflows.messages import Progress


@dataclass(frozen=True)
class UnderWay:
    """One rollout that has not ended."""

    id: str
    settled: bool
    """It only keeps a fleet warm, or cleans up."""
    now: str
    """What it is doing, in words."""
    after: str
    """What the next `bleen up` does with it."""


def under_way(session: Session) -> Sequence[UnderWay]:
    """Return the rollouts of the platform of this machine; none where it does not answer: then nothing can be asked."""
    here = session.settings
    platform = session.platform.at(structs.replace(here, server="", token="")) if here.server else session.platform
    try:
        with session.client(platform) as client:
            return _ask(client)
    except BleenError:
        return ()


def refuse_unsettled(rollouts: Sequence[UnderWay]) -> None:
    """Raise AlreadyRunning, naming each rollout that is neither promoted nor back."""
    open_ones = [rollout for rollout in rollouts if not rollout.settled]
    if not open_ones:
        return
    count = f"{len(open_ones)} rollouts are" if len(open_ones) > 1 else "a rollout is"
    raise AlreadyRunning(
        f"{count} under way",
        why="\n".join(f"{rollout.id} {rollout.now}" for rollout in open_ones),
        next="bleen status says what it waits for; or end the platform all the same: bleen down --force\n"
        "(it goes on where it is with the next bleen up)",
    )


def _ask(client: "Client") -> Sequence[UnderWay]:
    found = []
    for active in client.rollouts().rollouts:
        progress = client.service(active.environment, active.service).progress
        if progress is not None:
            found.append(_described(progress))
    return found


def _described(progress: "Progress") -> UnderWay:
    from bleen.interfaces.words import course_words

    rollout = progress.rollout
    settled = rollout.outcome is not None and rollout.successor is None
    if settled:
        after = f"{rollout.id} kept the other fleet warm: bleen up starts that one too, and its time goes on meanwhile"
    else:
        after = f"{rollout.id} goes on where it is"
    return UnderWay(rollout.id, settled, f"({course_words(rollout)}) {_doing(rollout, progress)}", after)


def _doing(rollout: "Rollout", progress: "Progress") -> str:
    from bleen.interfaces.words import outcome_words, step_words

    if rollout.retreat is not None and rollout.outcome is None:
        return f"goes back: {outcome_words(rollout.retreat)}"
    if rollout.successor is not None:
        return f"makes room for r{rollout.successor}"
    if rollout.paused_since is not None:
        return f"is paused by {rollout.paused_by}"
    return f"is at: {step_words(rollout.current)}" if rollout.current else "is ending"
