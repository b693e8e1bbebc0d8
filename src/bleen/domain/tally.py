"""A tally: what both releases met of one metric, and what that is evidence of."""

from math import exp

from bleen.domain.canary import Analysis
from bleen.domain.codec import Value
from bleen.domain.comparison import Phase
from bleen.domain.evidence import Evidence, Margins, Tick, Usual, learn, weigh, weigh_alone

LATELY = 120.0
"""Seconds over which what people read is averaged."""


class Tally(Value, frozen=True):
    """All that is known of one metric that counts bad events; of both releases `LATELY`, for people to read."""

    evidence: Evidence = Evidence()
    usual: Usual = Usual()
    bad: tuple[float, ...] = ()
    """Of the canary, for each kind."""
    of: float = 0.0
    base_bad: tuple[float, ...] = ()
    base_of: float = 0.0


def margins(analysis: Analysis, ratio: float, phase: Phase) -> Margins:
    """Return what is tolerated of a metric in ``phase``. A promotion tolerates no larger ratio than a rollback does.

    It tolerates `Analysis.slack` on top: beside a baseline that never fails, no number of requests would
    show "not more than 1.5 times as many". What is on its way to be rolled back is not promoted for it.
    """
    ratio = max(ratio, analysis.after) if phase is Phase.AFTER else ratio
    return Margins(ratio, ratio, analysis.slack / 100)


def told(tally: Tally, tick: Tick, phase: Phase, tolerated: Margins) -> Tally:
    """Return ``tally`` after ``tick``: what is usual of the baseline is learned last, from what was already weighed."""
    evidence, usual = tally.evidence, tally.usual
    if phase is Phase.BESIDE:
        evidence = weigh(evidence, tick, tolerated, usual)
    elif phase is Phase.AFTER:
        evidence = weigh_alone(evidence, tick, tolerated, usual)
    kept, none = exp(-tick.seconds / LATELY), (0.0,) * len(tick.canary)
    return Tally(
        evidence=evidence,
        usual=usual if phase is Phase.AFTER else learn(usual, tick.baseline, tick.baseline_of, tick.seconds),
        bad=tuple(kept * old + new for old, new in zip(tally.bad or none, tick.canary, strict=True)),
        of=kept * tally.of + tick.canary_of,
        base_bad=tuple(kept * old + new for old, new in zip(tally.base_bad or none, tick.baseline, strict=True)),
        base_of=kept * tally.base_of + tick.baseline_of,
    )
