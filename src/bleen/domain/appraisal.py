"""Appraisal: what a tally says of one metric, in numbers and in a sentence."""

from math import log, sqrt
from typing import NamedTuple

from bleen.domain.comparison import Comparison, Phase
from bleen.domain.edges import Edge, quantile
from bleen.domain.evidence import Margins, missing
from bleen.domain.tally import Tally
from bleen.domain.verdict import Reading

PROMOTING = (0.03, 0.25)
"""Tails of the edges at which a promotion asks for evidence, at each of them.

Of 100 simulated canaries with p95 +20 %, judged by latency alone and with no bake, the mean over all edges promoted 88: where
half of all requests lie beyond an edge, no release has 1.5 times as many. The least of the edges from 1.2 % on promoted
none, and took 38 s instead of 3 s to promote a good one. Thinner tails are a machine's own pauses, which come in clumps: on a
busy machine they would take the half hour.
"""

LEANS = 2.0
"""An e-value against the canary from which it is not promoted: it may be on its way to be rolled back."""
UNTIMED = 100.0
"""Requests that are said to be missing while no edge is chosen yet; it takes some hundred of the baseline."""
PRIOR = 2.0
"""Bad events that what is expected of a canary rests on, before it has its own."""


class Seen(NamedTuple):
    """What all metrics of a gate share."""

    comparison: Comparison
    weights: float
    rate: float
    base_rate: float


class Weighed(NamedTuple):
    """One metric in use."""

    name: str
    tally: Tally
    weight: float
    margins: Margins
    seen: Seen
    edges: tuple[Edge, ...] | None = None
    """None where it has one kind of bad event only."""

    @property
    def part(self) -> float:
        """Its part of the error rate."""
        return self.weight / self.seen.weights

    @property
    def fine_at(self) -> float:
        return -log(self.seen.comparison.analysis.misses)

    @property
    def asks_for_requests(self) -> bool:
        """Whether it counts requests, and not events of the service's own."""
        return self.name in ("errors", "latency")

    @property
    def kinds(self) -> list[int]:
        """The kinds of bad event that a promotion asks for."""
        if self.edges is None:
            return [0]
        told = [n for n, edge in enumerate(self.edges) if PROMOTING[0] <= edge.tail <= PROMOTING[1]]
        return told or list(range(len(self.edges)))[:1]

    @property
    def fine(self) -> float:
        """ln of the e-value for the canary: the least of all kinds, for it must be fine in each."""
        evidence = self.tally.evidence
        return min((evidence.fine(kind) for kind in self.kinds), default=0.0)

    @property
    def content(self) -> bool:
        """Whether the evidence suffices for a promotion, and none leans the other way."""
        return self.fine >= self.fine_at and self.tally.evidence.worse < LEANS

    def missing(self) -> float | None:
        """Return how many requests to the canary are still needed; None where it leans the other way."""
        if self.edges == ():
            return UNTIMED
        needs = [self._missing(kind) for kind in self.kinds]
        if self.tally.evidence.worse >= LEANS or any(need is None for need in needs):
            return None
        return max((need for need in needs if need is not None), default=0.0)

    def _missing(self, kind: int) -> float | None:
        tally, alone = self.tally, self.seen.comparison.phase is Phase.AFTER
        base = tally.usual.share(kind)
        # What is expected of the canary begins at the baseline's share, and is its own after a few bad events. While nothing
        # leans the other way, it is not expected to be worse than half-way to the margin: chance looks like that at first.
        prior = PRIOR / max(base, 0.001)
        share = ((tally.bad[kind] if tally.bad else 0.0) + prior * base) / (tally.of + prior)
        share = min(share, base * sqrt(self.margins.fine) + self.margins.slack / 2)
        split = 0.0 if alone else self.seen.rate / max(self.seen.base_rate, 0.001)
        return missing(
            tally.evidence, kind, self.fine_at, share, max(split, 0.0001) if not alone else 0.0, self.margins, tally.usual
        )

    def reading(self) -> Reading:
        """Return the metric for people."""
        analysis = self.seen.comparison.analysis
        canary, baseline = self._of_both()
        return Reading(
            metric=self.name,
            unit="%" if self.edges is None else "ms",
            canary=canary,
            baseline=baseline,
            tolerated=self.margins.worse,
            worse=log(max(self.tally.evidence.worse, 1e-9)),
            worse_at=-log(analysis.false_alarms * self.part),
            fine=self.fine,
            fine_at=self.fine_at,
        )

    def _of_both(self) -> tuple[float | None, float | None]:
        tally = self.tally
        if self.edges is None:
            return _percent(tally.bad, tally.of), _percent(tally.base_bad, tally.base_of)
        canary = [(edge.canary, n / tally.of) for edge, n in zip(self.edges, tally.bad, strict=False) if tally.of]
        baseline = [
            (edge.baseline, n / tally.base_of) for edge, n in zip(self.edges, tally.base_bad, strict=False) if tally.base_of
        ]
        return _slowest(canary), _slowest(baseline)

    def complaint(self) -> str:
        """Return in a sentence why the metric fails the release."""
        tally, stable = self.tally, f"r{self.seen.comparison.baseline}"
        kind = tally.evidence.worst()
        ours = _share(tally.bad[kind] / tally.of if tally.of else 0.0)
        alone = self.seen.comparison.phase is Phase.AFTER
        theirs = _share(tally.usual.share(kind) if alone else tally.base_bad[kind] / tally.base_of if tally.base_of else 0.0)
        who = f"was usual of {stable} before" if alone else f"of {stable}'s"
        if self.edges is None:
            what = "of its requests fail" if self.name == "errors" else f"of its events are bad ({self.name})"
            seen = f"{ours} {what}, and {theirs} {who}"
        else:
            seen = f"{ours} of its requests take longer than {self.edges[kind].canary:g} ms, and {theirs} {who}"
            if self.edges[kind].canary != self.edges[kind].baseline:
                seen += f" longer than {self.edges[kind].baseline:g} ms"
        return f"{seen}: more than {self.margins.worse:g} times as many ({self._counts(alone)})"

    def _counts(self, alone: bool) -> str:
        what = "requests" if self.asks_for_requests else "events"
        both = f"{self.tally.of:,.0f}" + ("" if alone else f" and {self.tally.base_of:,.0f}")
        return f"{both} {what} of late"


def _percent(bad: tuple[float, ...], of: float) -> float | None:
    return 100 * bad[0] / of if bad and of else None


def _share(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"


def _slowest(curve: list[tuple[float, float]]) -> float | None:
    """Return the 95th percentile in ms, as far as the edges tell."""
    told = [(bound, tail) for bound, tail in curve if tail > 0]
    return quantile(told, 0.05) if told else None
