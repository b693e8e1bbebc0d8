"""The mathematics of the gate: what is valid, what is exact, and what a histogram tells."""

from itertools import product
from math import comb, exp, inf, lgamma, log, prod
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from bleen.domain.edges import KNOWN, MACHINES, choose, quantile, since, tails
from bleen.domain.evidence import (
    Evidence,
    Margins,
    Tick,
    Usual,
    beside,
    learn,
    missing,
    ratios,
    weigh,
    weigh_alone,
)
from bleen.domain.signals import Histogram
from tests.domain.traffic import BOUNDS

TOLERATED = Margins(1.5, 1.5, 0.001)
CALM = Usual(of=1e6, ticks=1000.0, bad=(1000.0,), squares=(0.0,))
"""A baseline whose errors come one by one: a dispersion of 1, nearly."""


def binomial(n: int, k: int, p: float) -> float:
    return comb(n, k) * p**k * (1 - p) ** (n - k)


def after(ticks: list[tuple[float, float, float, float]], usual: Usual = CALM, margins: Margins = TOLERATED) -> Evidence:
    """Return the evidence after ticks of (bad, all) of the canary and (bad, all) of the baseline."""
    evidence = Evidence()
    for bad, every, base_bad, base_every in ticks:
        evidence = weigh(evidence, Tick((bad,), every, (base_bad,), base_every), margins, usual)
    return evidence


# ---- validity ----


@pytest.mark.parametrize("p", [0.001, 0.05, 0.3, 0.6])
def test_the_mean_evidence_against_a_tolerable_release_is_at_most_one(p: float) -> None:
    """Every outcome of two ticks, weighed by its probability at the edge of what is tolerated: at most 1, exactly."""
    n_c, n_b, worst = 3, 5, 1.5 * p
    outcomes = list(product(range(n_c + 1), range(n_b + 1)))
    chance = {(x, y): binomial(n_c, x, worst) * binomial(n_b, y, p) for x, y in outcomes}
    mean = sum(
        chance[one] * chance[two] * after([(one[0], n_c, one[1], n_b), (two[0], n_c, two[1], n_b)]).worse
        for one, two in product(outcomes, repeat=2)
    )
    assert mean <= 1 + 1e-12


@pytest.mark.parametrize("p", [0.0, 0.01, 0.3])
def test_the_mean_evidence_for_a_release_that_is_too_bad_is_at_most_one(p: float) -> None:
    """The mirror: at the margin of a promotion, slack and all, the expectation of the evidence for it is at most 1."""
    n_c, n_b = 6, 9
    margins = Margins(1.5, 1.5, 0.05)
    mean = sum(
        binomial(n_c, x, 1.5 * p + 0.05) * binomial(n_b, y, p) * exp(after([(x, n_c, y, n_b)], margins=margins).fine(0))
        for x, y in product(range(n_c + 1), range(n_b + 1))
    )
    assert mean <= 1 + 1e-12


def test_a_release_at_the_margin_is_flagged_no_more_often_than_was_asked() -> None:
    """800 releases exactly 1.5 times as bad, looked at 200 times each: fewer than 1 % (and chance) reach 100."""
    random, flagged = Random(11), 0
    for _ in range(800):
        evidence, highest = Evidence(), 0.0
        for _ in range(200):
            x = sum(random.random() < 0.075 for _ in range(5))
            y = sum(random.random() < 0.05 for _ in range(15))
            evidence = weigh(evidence, Tick((x,), 5, (y,), 15), TOLERATED, CALM)
            highest = max(highest, evidence.worse)
        flagged += highest >= 100
    assert flagged <= 16  # 8 expected at most; three standard deviations of chance on top


def test_alone_the_mean_evidence_is_at_most_one() -> None:
    """After the switch: at three times what was usual, every outcome weighed by its probability."""
    tick = Tick((0,), 40, (), 0)
    share = 3 * CALM.at_most(0)
    mean = sum(
        binomial(40, x, share) * weigh_alone(Evidence(), tick._replace(canary=(x,)), Margins(3.0, 3.0), CALM).worse
        for x in range(41)
    )
    assert mean <= 1 + 1e-12


# ---- laws ----

TICKS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 200), st.integers(0, 50), st.integers(1, 2000)), min_size=1, max_size=12
)


@given(TICKS, st.randoms(use_true_random=False))
def test_evidence_for_a_release_does_not_depend_on_the_order_of_ticks(ticks: list, random: Random) -> None:
    """Likelihood ratios multiply in any order."""
    shuffled = random.sample(ticks, len(ticks))
    assert after(shuffled).good[0] == pytest.approx(after(ticks).good[0])


@given(st.integers(0, 20), st.integers(0, 60), st.integers(1, 5))
def test_ticks_of_an_equal_split_may_be_counted_together(bad: int, base_bad: int, parts: int) -> None:
    """Ticks with the same split are one tick with their sum: looking more often changes nothing."""
    often = after([(bad, 10, base_bad, 90)] * parts)
    once = after([(bad * parts, 10 * parts, base_bad * parts, 90 * parts)])
    assert often.good[0] == pytest.approx(once.good[0])


@given(TICKS)
def test_more_failures_of_the_canary_are_never_evidence_for_it(ticks: list[tuple[int, int, int, int]]) -> None:
    """One more failure in the last tick: no less evidence against, and less for it."""
    worse = [*ticks[:-1], (ticks[-1][0] + 1, *ticks[-1][1:])]
    assert after(worse).worse >= after(ticks).worse
    assert after(worse).fine(0) < after(ticks).fine(0)


@given(st.integers(0, 500), st.integers(0, 500))
def test_a_tick_with_requests_to_one_release_only_tells_nothing(requests: int, bad: int) -> None:
    """Nothing to compare with: the evidence stays as it is."""
    before = after([(1, 10, 1, 90)])
    assert weigh(before, Tick((bad,), requests, (0,), 0), TOLERATED, CALM) == before
    assert weigh(before, Tick((0,), 0, (bad,), requests), TOLERATED, CALM) == before


def test_a_torrent_of_failures_is_a_finite_number() -> None:
    """A million failures a second for a minute: no overflow, and no doubt."""
    assert 1e6 < after([(1e6, 1e6, 0, 9e6)] * 60).worse < inf


def test_the_likelihood_ratio_is_that_of_a_split_of_bad_events() -> None:
    """Given how many bad events there were, who had them is a coin: the ratio of two binomials, computed another way."""
    split, null = 0.25, 1.5
    evidence = after([(7, 25, 9, 100)])
    coins = [r * split / (r * split + 1) for r in (null, *ratios(null))]
    expected = [log(prod((c / coins[0],) * 7) * prod(((1 - c) / (1 - coins[0]),) * 9)) for c in coins[1:]]
    found = [log(wealth) for wealth in evidence.against[0]]
    assert found[0] == pytest.approx(expected[0] / CALM.dispersion(0), rel=1e-6)


def test_a_mixture_over_all_splits_agrees_with_savvi() -> None:
    """savvi 0.3.1 weighs counts against a split with a Dirichlet prior: `Multinomial(0.01, [0.1, 0.9], k=100)` told of (3, 20),
    (10, 60) and (18, 100) gives ln odds of 0.9142777631. Our bets on every ratio, mixed by that prior, are worth the same.
    (The package itself wants a solver of convex programs and a plotter, and stays outside.)
    """
    x, y, null, k, points = 31, 180, 0.1, 100.0, 20_000
    a, b, split = k * null, k * (1 - null), null / (1 - null)
    mixed = 0.0
    for n in range(points):
        theta = (n + 0.5) / points
        bet = beside(1.0, theta / (1 - theta) / split, split, 0.0)
        prior = exp((a - 1) * log(theta) + (b - 1) * log(1 - theta) + lgamma(a + b) - lgamma(a) - lgamma(b)) / points
        mixed += prior * exp(x * bet.bad + y * bet.baseline)
    assert log(mixed) == pytest.approx(0.9142777631, abs=1e-6)


# ---- clumps ----


def test_errors_that_come_in_clumps_count_as_clumps() -> None:
    """Fives at once: a dispersion near 5. One by one: 1."""
    random = Random(3)
    clumped, single = Usual(), Usual()
    for _ in range(600):
        clumped = learn(clumped, (5.0 * (random.random() < 0.1),), 450, 1)
        single = learn(single, (float(random.random() < 0.5),), 450, 1)
    assert clumped.dispersion(0) == pytest.approx(5, rel=0.15)
    assert single.dispersion(0) == pytest.approx(1, abs=0.05)


def test_nothing_known_of_the_baseline_counts_as_clumps() -> None:
    """Two at a time until the baseline has failed at all; of what pauses make, twenty at first, ever fewer."""
    errors, slow = Usual(), Usual(pauses=True)
    assert (errors.dispersion(0), slow.dispersion(0)) == (2, 20)
    for ticks in range(1, 30):
        errors, slow = learn(errors, (0.0,), 100, 1), learn(slow, (0.0,), 100, 1)
        assert errors.dispersion(0) == 2
        assert slow.dispersion(0) == pytest.approx(max(2.0, 20 / ticks), rel=0.05)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 500)), min_size=1, max_size=30))
def test_a_dispersion_is_at_least_one(ticks: list[tuple[int, int]]) -> None:
    """Errors more regular than chance are not held for the canary's fault either."""
    usual = Usual()
    for bad, every in ticks:
        usual = learn(usual, (float(bad),), every, 1)
    assert usual.dispersion(0) >= 1
    assert usual.at_most(0) > usual.share(0)


# ---- how much is missing ----


def test_what_is_missing_is_about_what_it_takes() -> None:
    """A release like the other: the number of requests that was told beforehand is right within a third."""
    usual = structs.replace(CALM, of=100_000.0, bad=(1000.0,), squares=(0.0,))
    evidence = weigh(Evidence(), Tick((0,), 1, (0,), 1), TOLERATED, usual)
    told = missing(evidence, 0, 3.0, 0.01, 1.0, TOLERATED, usual)
    assert told is not None
    taken = 0
    while evidence.fine(0) < 3.0:
        evidence, taken = weigh(evidence, Tick((1,), 100, (1,), 100), TOLERATED, usual), taken + 100
    assert told == pytest.approx(taken, rel=0.34)


def test_no_number_of_requests_promotes_a_release_that_is_too_bad() -> None:
    """Twice as bad where 1.5 is tolerated: None."""
    usual = structs.replace(CALM, of=100_000.0, bad=(1000.0,))
    assert missing(Evidence(), 0, 3.0, 0.05, 1.0, TOLERATED, usual) is None


# ---- edges ----


def lognormal(requests: int, seed: int = 5, slower: float = 1.0, sigma: float = 0.5) -> Histogram:
    random, buckets = Random(seed), dict.fromkeys(BOUNDS, 0)
    for _ in range(requests):
        latency = slower * random.lognormvariate(3.9, sigma)
        buckets[next(bound for bound in BOUNDS if latency <= bound)] += 1
    return Histogram(tuple(b for b, n in buckets.items() if n), tuple(n for n in buckets.values() if n))


def test_edges_are_quantiles_of_the_baseline() -> None:
    """From the slowest 60 % to the slowest 0.3 %, ascending, each at a bound of a bucket."""
    histogram = lognormal(5000)
    edges = choose(histogram, 1.5)
    assert 8 <= len(edges) <= 12
    assert all(0.003 <= edge.tail <= 0.65 for edge in edges)
    assert [e.baseline for e in edges] == sorted({e.baseline for e in edges})
    assert all(histogram.slower(e.baseline) == pytest.approx(e.tail * 5000) for e in edges)


def test_latencies_all_alike_have_room_for_the_difference_of_two_machines() -> None:
    """A service that always takes 49 ms: a canary that takes 5 % longer is beyond no edge."""
    for edge in choose(lognormal(5000, sigma=0.01), 1.5):
        assert edge.canary >= 1.05 * edge.baseline


@pytest.mark.parametrize("seed", range(5))
def test_an_edge_that_few_requests_placed_grants_the_whole_difference_of_machines(seed: int) -> None:
    """Where fewer than 60 requests lie beyond, their spacing is chance: 12 % is granted, to half the width of a bucket."""
    edges = choose(lognormal(3000, seed), 1.5)
    few = [edge for edge in edges if edge.tail * 3000 < KNOWN]
    assert few
    assert all(edge.canary >= (MACHINES - 0.05) * edge.baseline for edge in few)


def test_few_buckets_suffice() -> None:
    """Envoy's default buckets: the edges are theirs."""
    coarse = Histogram((25.0, 50.0, 100.0, 250.0), (300, 500, 180, 20))
    assert [e.baseline for e in choose(coarse, 1.5)] == [50.0, 100.0]


def test_nothing_gives_no_edges() -> None:
    """Without latencies there is no edge."""
    assert choose(Histogram(), 1.5) == ()


def test_latencies_in_one_bucket_have_its_bound_for_an_edge() -> None:
    """Buckets that are too coarse for a fast service: what leaves the first one is slow."""
    (edge,) = choose(Histogram((10.0, 100.0), (500, 0)), 1.5)
    assert edge.baseline == 10.0 and 10.0 < edge.canary < 100.0


@settings(max_examples=30)
@given(st.integers(0, 300), st.integers(0, 300))
def test_latencies_since_a_moment_are_a_difference(before: int, more: int) -> None:
    """What is counted since a moment are the latencies after it, whatever buckets each reading tells."""
    early, whole = lognormal(before), lognormal(before + more)
    new = since(early, whole)
    assert new.total == more
    for edge in (10.0, 50.0, 120.0):
        assert new.slower(edge) == whole.slower(edge) - early.slower(edge)


@given(st.lists(st.sampled_from(BOUNDS), unique=True, max_size=8))
def test_tails_are_what_a_histogram_tells(edges: list[float]) -> None:
    """One pass over the buckets tells the same as asking for each edge."""
    histogram = lognormal(200)
    assert tails(histogram, sorted(edges)) == tuple(histogram.slower(edge) for edge in sorted(edges))


def test_a_quantile_between_bounds_is_interpolated() -> None:
    """Halfway in the logarithm of the tail is halfway in the logarithm of the latency; beyond the ends, the ends."""
    curve = [(10.0, 0.4), (40.0, 0.1)]
    assert quantile(curve, 0.2) == pytest.approx(20.0)
    assert (quantile(curve, 0.9), quantile(curve, 0.01)) == (10.0, 40.0)
