"""What a rollout did, as a trace: a span for all of it, and one for each decision, until the next.

Everything is read from the ledger: nothing that a rollout does waits for it, and whoever tells it twice tells the same spans.
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime

from bleen.domain.codec import Value
from bleen.domain.ledger import Commanded, Decided, Entry, Finished, RolloutStarted, Settled, kind_of
from bleen.domain.rollout import Promoted, Rollout

KINDS = ("settled", "finished")
"""Entries after which there is something to tell: its outcome, and the end of what it left to clean up."""


class Moment(Value, frozen=True):
    """Something that happened within a span."""

    at: datetime
    name: str
    attributes: dict[str, str | int]


class Span(Value, frozen=True):
    """A part of a trace. ``parent`` is empty for the whole."""

    trace: str
    """32 hex digits."""
    id: str
    """16 hex digits."""
    parent: str
    name: str
    started: datetime
    ended: datetime
    attributes: dict[str, str | int]
    moments: tuple[Moment, ...] = ()
    failed: str = ""
    """Why it did not come to what it was for; empty where it did."""


def trace_of(rollout: Rollout) -> str:
    """Return the id of the trace of ``rollout``: always the same, and another platform's is another one."""
    return _hash("trace", rollout.id, rollout.started.isoformat())[:32]


def spans_of(entries: Sequence[Entry]) -> tuple[Span, ...]:
    """Return the spans of one rollout that have ended by its last entry, of all of its entries, oldest first.

    Where the last one is the outcome, these are the whole and every decision up to then; where it is the end, what came after.
    None for a rollout of before there were traces.
    """
    first = next((entry for entry in entries if isinstance(entry.event, RolloutStarted)), None)
    settled = next((number for number, entry in enumerate(entries) if isinstance(entry.event, Settled)), None)
    if first is None or settled is None or not isinstance(first.event, RolloutStarted) or not first.event.trace:
        return ()
    if isinstance(entries[-1].event, Finished):
        return tuple(_decisions(entries[settled:], first.event.trace, first.rollout))
    whole = _whole(first.event.rollout, first.event.trace, entries[: settled + 1])
    return (whole, *_decisions(entries[: settled + 1], first.event.trace, first.rollout))


def _whole(rollout: Rollout, trace: str, entries: Sequence[Entry]) -> Span:
    last = entries[-1].event
    outcome = last.outcome if isinstance(last, Settled) else None
    came_to = str(outcome.__struct_config__.tag) if outcome is not None else ""
    return Span(
        trace=trace,
        id=_span(rollout.id, 0),
        parent="",
        name=f"rollout {rollout.service}",
        started=rollout.started,
        ended=entries[-1].at,
        attributes={
            "bleen.rollout": rollout.id,
            "bleen.service": rollout.service,
            "bleen.environment": rollout.environment,
            "bleen.release": rollout.target.name,
            "bleen.version": rollout.target.version,
            "bleen.strategy": str(rollout.strategy.__struct_config__.tag),
            "bleen.by": rollout.by,
            "bleen.outcome": came_to,
        },
        moments=tuple(_moments(entries)),
        failed="" if isinstance(outcome, Promoted) else came_to,
    )


def _moments(entries: Sequence[Entry]) -> Iterator[Moment]:
    for entry in entries:
        match entry.event:
            case Commanded(command):
                words = {"bleen.by": entry.by, "bleen.command": str(command.__struct_config__.tag)}
                yield Moment(entry.at, "commanded", {**words, "bleen.entry": entry.sequence})
            case Decided() | RolloutStarted():
                pass
            case other:
                yield Moment(entry.at, kind_of(other), {"bleen.entry": entry.sequence})


def _decisions(entries: Sequence[Entry], trace: str, rollout: str) -> Iterator[Span]:
    """Yield a span for each decision, until the next one or the last of ``entries``."""
    taken = [entry for entry in entries if isinstance(entry.event, Decided)]
    for number, entry in enumerate(taken):
        assert isinstance(entry.event, Decided)
        decision = entry.event.decision
        yield Span(
            trace=trace,
            id=_span(rollout, entry.sequence),
            parent=_span(rollout, 0),
            name=str(decision.__struct_config__.tag),
            started=entry.at,
            ended=taken[number + 1].at if number + 1 < len(taken) else entries[-1].at,
            attributes={"bleen.entry": entry.sequence, "bleen.why": decision.why},
        )


def _span(rollout: str, sequence: int) -> str:
    return _hash("span", rollout, str(sequence))[:16]


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
