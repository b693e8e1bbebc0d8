"""What Azure Monitor counts: when it is believed, whose it is, and what is said where it does not tell."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import HttpResponseError
from hypothesis import given, settings
from hypothesis import strategies as st

from bleen.domain.errors import Unreachable
from bleen.domain.fidelity import GatewayMode
from bleen.domain.traffic import Backend, Colour, Endpoint
from bleen.providers.azure.monitor import MOST, Counting, Monitor, MonitorMetrics
from bleen.providers.azure.owners import Owner
from bleen.providers.azure.sums import Answer, Series, Sums
from bleen.providers.azure.table import Table
from tests.azure.counting import EdgeTraffic, Reading, backend
from tests.azure.double.cloud import Cloud
from tests.azure.double.edges import Edge
from tests.azure.double.faults import AWAY, THROTTLED, Refused
from tests.azure.mixing import MixedRun
from tests.contracts.metrics import a_comparison, of

MINUTE = timedelta(minutes=1)
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.fixture
async def traffic(cloud: Cloud, pools: Edge, mixing: MixedRun) -> EdgeTraffic:
    """Two machines of r1 and one of r2 in one pool, watched for some minutes."""
    await mixing.backends.set_backend(backend(1, "10.0.0.1", "10.0.0.3"))
    await mixing.backends.set_backend(backend(2, "10.0.0.2"))
    reading = Reading(cloud, mixing.there, mixing.mixed.blob, patience=3.0)
    await reading.go_on(3)
    return EdgeTraffic(cloud, pools, reading, {1: ("hello", "10.0.0.1"), 2: ("hello", "10.0.0.2")})


# ---- what Monitor tells, and when ----


async def test_a_minute_is_counted_when_it_is_settled(traffic: EdgeTraffic) -> None:
    """Two minutes after its end; the sample says until when it tells."""
    traffic.met(2, 200, 5)
    began = traffic.reading.now.replace(second=0)
    while of(sample := await traffic.reading.go_on(0.25), 2).requests == 0:
        assert sample.until is not None and sample.until <= began
    assert of(sample, 2).requests == 5 and sample.until == began + MINUTE
    assert timedelta(minutes=3) <= sample.at - began < timedelta(minutes=3, seconds=30)


async def test_what_is_shown_later_is_counted_later(traffic: EdgeTraffic, cloud: Cloud) -> None:
    """Monitor lags by four minutes for once: what came late is added to the sum."""
    traffic.met(2, 200, 5)
    cloud.monitor.lag = 240
    traffic.met(2, 500, 3)
    cloud.monitor.lag = 0
    assert of(await traffic.reading.go_on(3.5), 2).classes == {"2xx": 5}
    assert of(await traffic.reading.go_on(1.5), 2).classes == {"2xx": 5, "5xx": 3}


async def test_what_is_taken_back_stays_counted(traffic: EdgeTraffic, cloud: Cloud) -> None:
    """A correction downwards changes nothing, for evidence was drawn from it; one upwards adds what it has more."""
    traffic.met(2, 500, 8)
    assert of(await traffic.reading.go_on(4), 2).failed == 8
    cloud.monitor.met[:] = [replace(each, count=3) for each in cloud.monitor.met]
    assert of(await traffic.reading.go_on(1), 2).failed == 8
    cloud.monitor.met[:] = [replace(each, count=9) for each in cloud.monitor.met]
    assert of(await traffic.reading.go_on(1), 2).failed == 9


async def test_an_address_may_be_written_with_its_port(traffic: EdgeTraffic, cloud: Cloud) -> None:
    """Which of the two it is, is not documented."""
    cloud.monitor.port = ":8080"
    traffic.met(2, 200, 4)
    cloud.monitor.port = ""
    traffic.met(2, 200, 3)
    assert of(await traffic.reading.go_on(4), 2).requests == 7


async def test_one_question_serves_all_who_ask(traffic: EdgeTraffic, cloud: Cloud, mixing: MixedRun) -> None:
    """Verdicts and people read each second; Monitor bills each question."""

    async def table() -> Table:
        return (await mixing.mixed.blob.read()).table

    counting = Counting(Monitor(mixing.there.metrics, mixing.there.site).ask, table, GatewayMode.MIXED)
    before, arm = cloud.monitor.asked, cloud.arm_calls
    for metrics in (MonitorMetrics(counting), MonitorMetrics(counting)):
        for _ in range(20):
            await metrics.read(a_comparison())
    assert (cloud.monitor.asked - before, cloud.arm_calls - arm) == (1, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"metric_names": ["Requests"]},
        {"aggregations": ["Average"]},
        {"filter": "Listener eq '*'"},
        {"metric_namespace": "Microsoft.Network/frontdoors"},
        {"resource_ids": ["/subscriptions/1/resourceGroups/g/providers/Microsoft.Network/applicationGateways/none"]},
    ],
)
async def test_the_double_refuses_what_azure_has_not(mixing: MixedRun, pools: Edge, wrong: dict[str, object]) -> None:
    """So that a name which is misspelt is noticed."""
    right = {
        "resource_ids": [mixing.there.site.edge_id],
        "metric_namespace": "Microsoft.Network/applicationGateways",
        "metric_names": ["BackendResponseStatus"],
        "aggregations": ["Total"],
        "filter": "BackendPool eq '*'",
        "timespan": (NOON, NOON + MINUTE),
    }
    client = mixing.there.metrics
    assert len(await client.query_resources(**right)) == 1
    with pytest.raises(HttpResponseError):
        await client.query_resources(**{**right, **wrong})


# ---- whose it is ----


async def test_an_address_that_is_given_anew_credits_nobody_meanwhile(traffic: EdgeTraffic, mixing: MixedRun) -> None:
    """A machine of r2 gets the address of one of r1: failures of the one are never the other's, and then they are its own."""
    reused = ("hello", "10.0.0.3")
    traffic.places = {1: reused, 2: reused}
    await traffic.reading.go_on(1)
    traffic.met(1, 500, 7)
    await traffic.reading.go_on(2)
    traffic.met(1, 500, 1_000)  # in the minute in which it leaves: nobody's
    await mixing.backends.set_backend(backend(1, "10.0.0.1"))
    await traffic.reading.go_on(0.5)
    await mixing.backends.set_backend(backend(2, "10.0.0.2", "10.0.0.3"))
    await traffic.reading.go_on(2)
    traffic.met(2, 200, 5)
    sample = await traffic.reading.go_on(6)
    assert (of(sample, 1).classes, of(sample, 2).classes) == ({"5xx": 7}, {"2xx": 5})


async def test_who_is_in_the_pool_and_no_machine_of_a_release_counts_for_none(traffic: EdgeTraffic) -> None:
    """Somebody put it there by hand."""
    traffic.places[1] = ("hello", "10.0.0.99")
    traffic.met(1, 500, 9)
    sample = await traffic.reading.go_on(5)
    assert (of(sample, 1).requests, of(sample, 2).requests) == (0, 0)


async def test_what_came_while_nobody_looked_is_not_counted(traffic: EdgeTraffic) -> None:
    """The address may have been anybody's; and that time is not told as one without requests."""
    reading = traffic.reading
    await reading.go_on(1)
    reading.now += 10 * MINUTE
    traffic.met(2, 200, 50)
    reading.now += 2 * MINUTE
    sample = await reading.read(a_comparison())
    assert sample.until is not None and sample.until > reading.now
    traffic.met(2, 200, 50)
    assert of(await reading.go_on(2), 2).requests == 0
    traffic.met(2, 200, 3)
    assert of(await reading.go_on(4), 2).requests == 3


# ---- where it does not tell ----


async def test_throttling_is_waited_out(traffic: EdgeTraffic, cloud: Cloud) -> None:
    """Once is nothing; always is Unreachable, and what was counted meanwhile is told afterwards."""
    cloud.faults.add("POST", "metrics:getBatch", THROTTLED)
    traffic.met(2, 200, 4)
    await traffic.reading.read(a_comparison())
    cloud.faults.add("POST", "metrics:getBatch", THROTTLED, times=10)
    for _ in range(2):
        with pytest.raises(Unreachable, match="throttl"):
            await traffic.reading.read(a_comparison())
    cloud.faults.script.clear()
    assert of(await traffic.reading.go_on(4), 2).requests == 4


@pytest.mark.parametrize("error", [AWAY, Refused(529, "TooManyRequests", "The metrics backend is throttling your requests")])
async def test_a_monitor_that_is_away_is_no_zero(traffic: EdgeTraffic, cloud: Cloud, error: Refused) -> None:
    """Law 9: nobody counts, and that is said."""
    cloud.faults.add("POST", "metrics:getBatch", error, times=10)
    with pytest.raises(Unreachable) as caught:
        await traffic.reading.read(a_comparison())
    assert caught.value.why and caught.value.next


async def test_a_slow_answer_is_not_waited_for_and_an_old_one_not_believed(traffic: EdgeTraffic, cloud: Cloud) -> None:
    """Whoever reads each second has an answer at once, for a minute; then nobody counts."""
    hasty = Reading(cloud, traffic.reading.there, traffic.reading.routes, patience=3.0, prompt=0.05)
    before = await hasty.read(a_comparison())
    cloud.monitor.silent = True
    for _ in range(4):
        assert (await hasty.read(a_comparison())).until == before.until
    with pytest.raises(Unreachable, match="did not answer"):
        await hasty.read(a_comparison())


async def test_whoever_lacks_the_role_is_told_which(traffic: EdgeTraffic, cloud: Cloud) -> None:
    """401 where it is missing, as documented, and 403: where the resource provider is not registered."""
    cloud.monitor.closed = True
    with pytest.raises(Unreachable, match="AuthorizationFailed") as caught:
        await traffic.reading.read(a_comparison())
    assert "Monitoring Reader on the subscription" in caught.value.next
    cloud.monitor.closed = False
    cloud.faults.add("POST", "metrics:getBatch", Refused(403, "Forbidden", "not registered"))
    with pytest.raises(Unreachable) as caught:
        await traffic.reading.read(a_comparison())
    assert "Microsoft.Insights" in caught.value.next


async def test_more_than_is_told_is_not_taken_for_all(traffic: EdgeTraffic, cloud: Cloud) -> None:
    """Monitor leaves out what is beyond the number of series that was asked for, without a word."""
    for number in range(MOST):
        cloud.monitor.count(traffic.edge.name, "hello", f"10.1.{number // 250}.{number % 250}", 200)
    with pytest.raises(Unreachable, match="does not tell all"):
        await traffic.reading.read(a_comparison())


# ---- whatever it tells ----

PLACES = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
TABLES = st.dictionaries(st.sampled_from(PLACES), st.sampled_from([1, 2]))
POINTS = st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(["2xx", "5xx"]), st.integers(2, 9), st.integers(0, 40)))
STEPS = st.sampled_from([15] * 12 + [0, -20, 70])
"""Seconds between two looks: a clock may jump."""
OTHERS = st.one_of(*[st.none()] * 15, TABLES)
"""Who has the addresses instead, at some looks."""


def table(owners: dict[str, int]) -> Table:
    found = []
    for release, colour in ((1, Colour.BLUE), (2, Colour.GREEN)):
        there = tuple(Endpoint(address, 8080) for address, owner in owners.items() if owner == release)
        found.append(Backend("dev", "hello", colour, release, there))
    return Table(backends=tuple(found))


def answer(points: Sequence[tuple[str, str, int, int]], now: datetime) -> Answer:
    """Return an answer with points of the last minutes: counted is what their last value says."""
    minute = now.replace(second=0)
    series = (Series("hello", address, status, {minute - ago * MINUTE: count}) for address, status, ago, count in points)
    return Answer(MINUTE, tuple(series))


@settings(max_examples=50, deadline=None)
@given(TABLES, st.lists(st.tuples(STEPS, OTHERS, st.integers(0, 40)), min_size=20, max_size=40))
def test_no_sum_ever_goes_down(owners: dict[str, int], looks: list[tuple[int, dict[str, int] | None, int]]) -> None:
    """Whatever Monitor tells of minutes that it told otherwise before, and whatever clocks and owners do."""
    sums, now = Sums(GatewayMode.MIXED), NOON
    before = {Owner("hello", release): sums.of(Owner("hello", release)) for release in (1, 2)}
    until = sums.until
    for seconds, others, count in [(15, None, 0)] * 30 + looks:
        now += timedelta(seconds=seconds)
        sums.note(now, table(owners if others is None else others))
        sums.add(answer([(place, "5xx", ago, count) for place in PLACES for ago in range(10)], now), now)
        for owner, counted in before.items():
            after = sums.of(owner)
            assert after["5xx"] >= counted["5xx"]
            before[owner] = after
        assert sums.until >= until
        until = sums.until


@given(POINTS, POINTS)
def test_of_two_answers_the_larger_counts(
    first: list[tuple[str, str, int, int]], second: list[tuple[str, str, int, int]]
) -> None:
    """Each minute of each address counts with the most that was ever told of it."""
    sums, now = Sums(GatewayMode.MIXED), NOON
    for _ in range(60):
        sums.note(now, table(dict.fromkeys(PLACES, 1)))
        now += timedelta(seconds=15)
    most: dict[tuple[str, str, int], int] = {}
    for told in (first, second):
        sums.add(answer(told, now), now)
        for address, status, ago, count in told:
            if 3 <= ago <= 7:
                most[address, status, ago] = max(count, most.get((address, status, ago), 0))
    assert sums.of(Owner("hello", 1)).total() == sum(most.values())


@given(st.lists(TABLES, min_size=40, max_size=60))
def test_a_minute_is_credited_only_to_who_had_the_address_in_all_of_it(tables: list[dict[str, int]]) -> None:
    """Each address answers once a minute, and a release is credited at most with the minutes that were its alone."""
    sums, now = Sums(GatewayMode.MIXED), NOON
    had: dict[tuple[datetime, str], set[int | None]] = {}
    every = {address: {NOON + n * MINUTE: 1 for n in range(20)} for address in PLACES}
    for seen in tables:
        for address in PLACES:
            had.setdefault((now.replace(second=0), address), set()).add(seen.get(address))
        sums.note(now, table(seen))
        sums.add(Answer(MINUTE, tuple(Series("hello", a, "2xx", points) for a, points in every.items())), now)
        now += timedelta(seconds=15)
    for release in (1, 2):
        most = sum(owners == {release} for owners in had.values())
        assert sums.of(Owner("hello", release)).total() <= most
