"""Evidence that is valid at every second, however often one looks.

Two streams of bad events are compared, canary and baseline: errors, or requests slower than an edge. Each tick multiplies
likelihood ratios whose expectation is at most 1 while the canary is at most ``r0`` times as bad. Such a product reaches
1/alpha with probability at most alpha over *all time* (Ville): a look costs nothing. After Lindon, Sanden and Shirikian,
"Rapid Regression Detection in Software Deployments" (2022); Howard and Ramdas on confidence sequences.

With ``a = theta_r / theta_r0`` and ``b = (1 - theta_r) / (1 - theta_r0)``, where ``theta_r = r n_c / (r n_c + n_b)`` for
exposures ``n_c`` and ``n_b``, independent events give ``E[a^x b^y] <= exp(n_c p_c (a - 1) - n_b p_b (1 - b)) <= 1`` whenever
``p_c <= r0 p_b``: no approximation of rare events, and the split, the base rate, or both may change with every tick.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import exp, inf, log, sqrt
from typing import NamedTuple

from bleen.domain.codec import Value

WORST = 40.0
"""The largest ratio that is looked for. A worse one is found by it just as fast."""
GRID = 6
"""Ratios that are looked for at once. Their mean costs ln(6) of evidence at most; fewer miss what lies between."""
FIRST = 1.2
"""The mildest, in multiples of what is tolerated: one nearer to it finds mild slowness on fast machines, later."""
EVENLY = (1 / GRID,) * GRID
"""The part of all bets on each ratio, where nothing is known of how bad releases are bad."""
MANIFOLD = (0.05, 0.10, 0.35, 0.35, 0.10, 0.05)
"""Of failures: a release that fails does so several times as often, and 1 % in place of 0.1 % is ten times."""
MILDLY = (0.30, 0.25, 0.20, 0.15, 0.06, 0.04)
"""Of slowness: a fifth slower, and two or three times as many are beyond an edge."""
MILDER = (1.2, 1.5, 2.0, 4.0, 20.0)
"""How many times better than the margin a release is tested to be before it is promoted."""
LARGEST, MOST = 1e120, 400.0
"""Evidence beyond this says nothing more, and must not overflow; and the ln of what one tick may add."""
AT_ONCE = 0.9
"""The part of all bets that is placed on a release being bad from its first request, as most bad ones are."""
LATE = 600.0
"""Seconds by which half of the others are placed."""
CLUMP = 2.0
"""Events that come together until the baseline has shown better: one broken connection fails several requests."""
CLUMPS = 0.5
"""So many events of the baseline weigh as much as that assumption: two that come one by one refute most of it."""
UNSEEN = 20.0
"""Ticks of the baseline in which pauses show that are usual. Until then one looks like a fault of the canary."""
MEMORY = 900.0
"""Seconds after which what is usual of the baseline is forgotten to 1/e: it has its hours."""
SURE = 2.0
"""Standard deviations above the estimate that bound what is usual (97.7 %)."""


class Tick(NamedTuple):
    """What happened between two looks: one number of bad events for each kind (errors have one, latency one for each edge)."""

    canary: Sequence[float]
    canary_of: float
    """Requests in which they could happen."""
    baseline: Sequence[float]
    baseline_of: float
    seconds: float = 1.0


class Margins(NamedTuple):
    """What is tolerated."""

    worse: float
    """Evidence against starts where the canary is more than so many times as bad."""
    fine: float
    """Evidence for it, where it is fewer times as bad than this; at most ``worse``."""
    slack: float = 0.0
    """Added to the share that is tolerated in a promotion: a share of all requests."""


class Usual(Value, frozen=True):
    """What is usual of the baseline: for each kind of bad event its share, and how clumped the events come."""

    of: float = 0.0
    ticks: float = 0.0
    bad: tuple[float, ...] = ()
    squares: tuple[float, ...] = ()
    """Sum over ticks of (bad events)^2 / exposure."""
    pauses: bool = False
    """Whether a machine's pause makes such events, as it makes slow requests: in its first seconds it looks like a fault."""

    def dispersion(self, kind: int) -> float:
        """Return variance / mean of the bad events of a tick, at least 1: Pearson's statistic over its degrees of freedom.

        Its own standard error is sqrt((2 + 1 / mean) / ticks). What chance explains is left out, for it would only cost time;
        what it does not explain is taken with twice the error on top.
        """
        bad = self.bad[kind] if self.bad else 0.0
        unseen = UNSEEN / max(self.ticks, 1.0) if self.pauses else 1.0
        if bad <= 0 or self.ticks <= 0:
            return max(CLUMP, unseen)
        found = (self.squares[kind] * self.of / bad - bad) / max(self.ticks - 1, 1.0)
        chance = sqrt((2 + self.ticks / bad) / self.ticks)
        clear = found + SURE * chance if found > 1 + SURE * chance else 1.0
        return max(unseen, (bad * clear + CLUMPS * CLUMP) / (bad + CLUMPS))

    def share(self, kind: int) -> float:
        """Return the share of bad events."""
        return self.bad[kind] / self.of if self.bad and self.of else 0.0

    def at_most(self, kind: int) -> float:
        """Return an upper bound of the share of bad events; infinite while nothing is known."""
        if not self.of:
            return inf
        bad, clump = self.bad[kind] if self.bad else 0.0, self.dispersion(kind)
        return (bad + SURE * sqrt(clump * (bad + clump)) + SURE * clump) / self.of


def learn(usual: Usual, bad: Sequence[float], of: float, seconds: float) -> Usual:
    """Return ``usual`` after a tick of the baseline. What a tick is divided by is always learned from ticks before it."""
    if of <= 0:
        return usual
    kept = exp(-min(seconds, MEMORY) / MEMORY)
    before, squares = usual.bad or (0.0,) * len(bad), usual.squares or (0.0,) * len(bad)
    return Usual(
        of=kept * usual.of + of,
        ticks=kept * usual.ticks + 1,
        bad=tuple(kept * b + y for b, y in zip(before, bad, strict=True)),
        squares=tuple(kept * s + y * y / of for s, y in zip(squares, bad, strict=True)),
        pauses=usual.pauses,
    )


class Evidence(Value, frozen=True):
    """Of one metric, for each kind of bad event and each ratio that is looked for."""

    against: tuple[tuple[float, ...], ...] = ()
    """Wealth of the bets that it is worse, placed so far."""
    seconds: float = 0.0
    """Counted so far; what is still to be placed follows from it."""
    good: tuple[tuple[float, ...], ...] = ()
    """ln of the wealth of the bets that it is fine, since the step of the rollout began."""
    prior: tuple[float, ...] = EVENLY
    """The part of the bets on each ratio that is looked for; sums to 1. Chosen before anything is seen."""

    @property
    def worse(self) -> float:
        """The e-value against "at most ``r0`` times as bad": the mean over kinds and ratios, and what is not placed yet."""
        wealth = [w for kind in self.against for w in kind]
        return (1 - self.prior[0]) * _unplaced(self.seconds) + sum(wealth) / len(wealth) if wealth else 1.0

    def worst(self) -> int:
        """Return the kind of bad event with the most evidence against the canary."""
        totals = [sum(kind) for kind in self.against]
        return totals.index(max(totals)) if totals else 0

    def fine(self, kind: int) -> float:
        """Return ln of the e-value against "at least ``r1`` times as bad"."""
        return _log_mean(self.good[kind]) if self.good else 0.0


class Bet(NamedTuple):
    """A likelihood ratio: exp((x bad + y baseline + still) / dispersion)."""

    bad: float
    baseline: float
    still: float


def weigh(evidence: Evidence, tick: Tick, margins: Margins, usual: Usual) -> Evidence:
    """Return ``evidence`` after a tick in which both releases had requests."""
    if tick.canary_of <= 0 or tick.baseline_of <= 0:
        return evidence
    split = tick.canary_of / tick.baseline_of
    slack = margins.slack * tick.canary_of
    worse = [beside(margins.worse, ratio, split, 0.0) for ratio in ratios(margins.worse)]
    fine = [beside(margins.fine, margins.fine / times, split, slack) for times in MILDER]
    kinds = range(len(tick.canary))
    return _wager(evidence, tick, usual, [worse for _ in kinds], [fine for _ in kinds])


def weigh_alone(evidence: Evidence, tick: Tick, margins: Margins, usual: Usual) -> Evidence:
    """Return ``evidence`` after a tick of the canary alone, against an upper bound of what was usual of the baseline.

    The null is "at most ``margins.worse`` times what was usual". It holds as far as the past does: a busier hour or a sick
    dependency counts against the release, which is why that ratio has to be wide.
    """
    if tick.canary_of <= 0 or not usual.of:
        return evidence
    worse, fine = [], []
    for kind in range(len(tick.canary)):
        expected = usual.at_most(kind) * tick.canary_of
        tolerated, enough = margins.worse * expected, margins.fine * expected + margins.slack * tick.canary_of
        worse.append([Bet(log(r / margins.worse), 0.0, (1 - r / margins.worse) * tolerated) for r in ratios(margins.worse)])
        fine.append([Bet(-log(times), 0.0, (1 - 1 / times) * enough) for times in MILDER])
    return _wager(evidence, tick._replace(baseline=(0.0,) * len(tick.canary)), usual, worse, fine)


@lru_cache(maxsize=64)
def ratios(tolerated: float) -> tuple[float, ...]:
    """Return the ratios that are looked for: from `FIRST` times what is ``tolerated``, evenly in their logarithm."""
    first, last = FIRST * tolerated, max(WORST, 10 * tolerated)
    return tuple(first * (last / first) ** (n / (GRID - 1)) for n in range(GRID))


def beside(null: float, ratio: float, split: float, slack: float) -> Bet:
    """Return the bet on ``ratio`` against ``null``, for ``split`` requests of the canary to one of the baseline.

    ``slack`` bad events of the canary are tolerated on top: E[a^x b^y] <= exp((n_c r p_b + slack) (a - 1) + n_b p_b (b - 1)) is
    exp(slack (a - 1)) at the null, and is divided by that.
    """
    b = (1 + null * split) / (1 + ratio * split)
    a = ratio / null * b
    return Bet(log(a), log(b), slack * (1 - a))


def _wager(
    evidence: Evidence, tick: Tick, usual: Usual, worse: Sequence[Sequence[Bet]], fine: Sequence[Sequence[Bet]]
) -> Evidence:
    kinds = range(len(tick.canary))
    against = evidence.against or tuple((0.0,) * GRID for _ in kinds)
    good = evidence.good or tuple((0.0,) * len(MILDER) for _ in kinds)
    seconds = evidence.seconds + max(tick.seconds, 0.0)
    later = _unplaced(evidence.seconds) - _unplaced(seconds)
    at_once = 0.0 if evidence.seconds else 1.0 * (seconds > 0)
    placed = [GRID * part * when for part, when in zip(evidence.prior, (at_once, *(later,) * (GRID - 1)), strict=True)]
    new_against, new_good = [], []
    for kind in kinds:
        clump = usual.dispersion(kind)
        x, y = tick.canary[kind] / clump, tick.baseline[kind] / clump
        told = [x * a + y * b + still / clump for a, b, still in worse[kind]]
        grown = [exp(MOST if each > MOST else each) for each in told]
        wealth = [(w + n) * g for w, n, g in zip(against[kind], placed, grown, strict=True)]
        new_against.append(tuple([LARGEST if each > LARGEST else each for each in wealth]))
        told = [x * a + y * b + still / clump for a, b, still in fine[kind]]
        new_good.append(tuple([g + t for g, t in zip(good[kind], told, strict=True)]))
    return Evidence(tuple(new_against), seconds, tuple(new_good), evidence.prior)


def _unplaced(seconds: float) -> float:
    """Return the part of the wealth that is kept for a release that goes bad later than ``seconds`` after it began.

    Most is placed on the first tick, the rest over all time. A mixture over moments at which a release may turn is as
    valid as each bet in it, and without it hours of good behaviour would have to be undone before a fault is seen. On the
    mildest ratio all is placed at once: machines have their slow minutes, which a late bet on little would find.
    """
    return (1 - AT_ONCE) * LATE / (LATE + seconds) if seconds > 0 else 1.0


def _log_mean(logs: Sequence[float]) -> float:
    top = max(logs)
    return top + log(sum(exp(each - top) for each in logs) / len(logs))


# ---- how much is missing ----


def missing(
    evidence: Evidence, kind: int, wanted: float, share: float, split: float, margins: Margins, usual: Usual
) -> float | None:
    """Return how many requests to the canary the evidence for it still takes; None where no number of them would do.

    ``wanted`` is the ln of the e-value that suffices, ``share`` the canary's share of bad events to expect, ``split`` its
    requests for one of the baseline; 0 where it is alone.
    """
    needs = []
    base = usual.share(kind)
    for logs, times in zip(evidence.good[kind] if evidence.good else (0.0,) * len(MILDER), MILDER, strict=True):
        if split > 0:
            bet = beside(margins.fine, margins.fine / times, split, margins.slack)
            drift = share * bet.bad + base / split * bet.baseline + bet.still
        else:
            drift = -log(times) * share + (1 - 1 / times) * (margins.fine * usual.at_most(kind) + margins.slack)
        if drift > 0:
            needs.append(max(0.0, wanted + log(len(MILDER)) - logs) / drift * usual.dispersion(kind))
    return min(needs, default=None)
