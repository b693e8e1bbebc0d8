"""Few lines of a long measurement: what people read of a rollout that was measured for days."""

from collections.abc import Sequence

from bleen.domain.ledger import Measured
from bleen.interfaces.verdicts import verdict_name
from bleen.interfaces.views import ExplainedLine

_SPARSE = 30.0
"""Seconds between two measurements that say the same."""


def thinned(lines: Sequence[ExplainedLine]) -> list[ExplainedLine]:
    """Return ``lines`` with few of their measurements: the first, each that says something else, then ever fewer, the last."""
    measured = [line for line in lines if isinstance(line.event, Measured)]
    kept, said, began, shown = [], "", 0.0, 0.0
    for line in lines:
        if not isinstance(line.event, Measured):
            kept.append(line)
            continue
        saying = _saying(line.event)
        if saying != said:
            said, began, shown = saying, line.after, line.after
        elif line is not measured[-1] and line.after - shown < max(_SPARSE, (line.after - began) / 2):
            continue
        else:
            shown = line.after
        kept.append(line)
    return kept


def _saying(event: Measured) -> str:
    return f"{event.assessment.step} {verdict_name(event.assessment.verdict)}"
