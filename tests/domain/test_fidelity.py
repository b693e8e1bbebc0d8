"""What Azure's lesser gateways cannot do is known before a rollout."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleen.domain.codec import convert
from bleen.domain.fidelity import GatewayMode, lacks
from bleen.domain.service import Service

FLIP, MIXED, ENVOY = GatewayMode.FLIP, GatewayMode.MIXED, GatewayMode.ENVOY
ALL = {"type": "weight", "percent": 100}


def service(strategy: dict[str, object], instances: int = 10) -> Service:
    plain = {
        "service": "hello",
        "image": {"type": "directory", "path": "app"},
        "command": ["run"],
        "instances": instances,
        "strategy": strategy,
    }
    spec: Service = convert(plain, Service)
    return spec


def canary(*steps: dict[str, object], instances: int = 10, **more: object) -> Service:
    return service({"type": "canary", "steps": [*steps, ALL], **more}, instances)


def weight(percent: float) -> dict[str, object]:
    return {"type": "weight", "percent": percent}


def places(mode: GatewayMode, spec: Service) -> list[str]:
    return [".".join(each.place) for each in lacks(mode, spec)]


def test_blue_green_is_for_every_gateway() -> None:
    """It needs 0 and 100 % only."""
    for mode in GatewayMode:
        assert places(mode, service({"type": "blue-green"})) == []


def test_envoys_can_do_everything() -> None:
    """Whatever a service file may say."""
    assert places(ENVOY, canary(weight(0.01), {"type": "measure"}, baseline=True)) == []
    assert places(ENVOY, service({"type": "canary"})) == []


@pytest.mark.parametrize("percent", [0.01, 10, 50, 99])
def test_a_flip_knows_no_share(percent: float) -> None:
    """The rule names one pool."""
    (lack,) = lacks(FLIP, canary(weight(percent)))
    assert ".".join(lack.place) == "strategy.steps.0.percent" and f"{percent:g} %" in lack.what and "blue-green" in lack.instead


@pytest.mark.parametrize(
    ("percent", "instances", "fits"), [(10, 10, True), (50, 2, True), (20, 4, True), (10, 3, False), (1, 10, False)]
)
def test_a_mixed_pool_knows_shares_of_instances(percent: float, instances: int, fits: bool) -> None:
    """1 of 10 is 10 %; what there are not enough instances for is refused, with the nearest that there is."""
    found = list(lacks(MIXED, canary(weight(percent), instances=instances)))
    assert (found == []) is fits
    assert all(each.instead.startswith("percent: ") for each in found)


@given(st.integers(1, 40), st.integers(1, 10_000))
def test_what_is_offered_instead_is_accepted(instances: int, hundredths: int) -> None:
    """Whatever share was asked for: advice that is refused is none."""
    for lack in lacks(MIXED, canary(weight(hundredths / 100), instances=instances)):
        if "scale" in lack.instead:
            step = {"type": "scale", "instances": int(lack.instead.rpartition(" ")[2].rstrip("}"))}
            assert list(lacks(MIXED, canary(step, weight(hundredths / 100), instances=instances))) == []
            continue
        offered = float(lack.instead.removeprefix("percent: "))
        assert offered == 100 or list(lacks(MIXED, canary(weight(offered), instances=instances))) == []


@given(st.integers(1, 40), st.integers(1, 40))
def test_every_share_of_whole_instances_to_a_hundredth_is_accepted(new: int, old: int) -> None:
    """``new`` of one release beside ``old`` of the other, with as many instances as the larger has, once they are started."""
    share = Fraction(100 * new, new + old)
    if (share * 100).denominator == 1:
        scale = {"type": "scale", "instances": new}
        assert list(lacks(MIXED, canary(scale, weight(float(share)), instances=max(new, old)))) == []


@pytest.mark.parametrize(
    ("percent", "instances", "instead"),
    [(75, 10, "the same, after {type: scale, instances: 9}"), (12.5, 10, "percent: 10"), (20, 6, "percent: 25")],
)
def test_a_share_that_fewer_instances_than_the_service_has_would_bear_is_refused(
    percent: float, instances: int, instead: str
) -> None:
    """6 and 2 of ten are 75 %, and a fifth less than what serves today: more of the new ones are started first."""
    (lack,) = lacks(MIXED, canary(weight(percent), instances=instances))
    assert lack.instead == instead
    if "scale" in instead:
        step = {"type": "scale", "instances": int(instead.rpartition(" ")[2].rstrip("}"))}
        assert list(lacks(MIXED, canary(step, weight(percent), instances=instances))) == []


@pytest.mark.parametrize("mode", [FLIP, MIXED])
@pytest.mark.parametrize(
    ("step", "place"),
    [
        ({"type": "header", "name": "x-team", "value": "a"}, "strategy.steps.0"),
        ({"type": "cookie", "name": "beta", "value": "yes"}, "strategy.steps.0"),
        ({"type": "mirror", "percent": 10}, "strategy.steps.0"),
    ],
)
def test_what_needs_an_envoy_is_named(mode: GatewayMode, step: dict[str, object], place: str) -> None:
    """Cohorts, copies."""
    assert places(mode, canary(step)) == [place]


@pytest.mark.parametrize("mode", [FLIP, MIXED])
def test_a_canary_by_preset_affinity_and_a_baseline_fleet_are_refused(mode: GatewayMode) -> None:
    """A preset once, however many of its steps cannot be done; the others where they are written."""
    spec = service({"type": "canary", "preset": "careful", "affinity": {}, "baseline": True})
    analysed = ["strategy.analysis"] if mode is MIXED else []
    assert places(mode, spec) == ["strategy.preset", "strategy.affinity", "strategy.baseline", *analysed]


BY_ERRORS = {"latency": {"weight": 0}}


def test_what_is_measured_is_failures_and_metrics_of_ones_own() -> None:
    """Nobody counts latencies there: an analysis that gives them a weight is told what to write, and that is accepted."""
    (lack,) = lacks(MIXED, canary(weight(10), {"type": "measure"}))
    assert ".".join(lack.place) == "strategy.analysis" and lack.instead == "analysis: {latency: {weight: 0}}"
    jobs = {"type": "events", "name": "jobs", "bad": "jobs_failed", "total": "jobs", "page": "/metrics"}
    assert places(MIXED, canary(weight(10), {"type": "measure"}, analysis={**BY_ERRORS, "metrics": [jobs]})) == []


def test_a_flip_measures_nothing_before_the_switch() -> None:
    """A release has no requests until it has all of them; then it is watched, at a pause, as what is offered says."""
    (lack,) = lacks(FLIP, canary({"type": "measure"}))
    assert ".".join(lack.place) == "strategy.steps.0" and "after 100 %" in lack.instead
    assert places(FLIP, service({"type": "canary", "steps": [ALL, {"type": "pause", "for": "10m"}]})) == []


@pytest.mark.parametrize("mode", [FLIP, MIXED])
def test_a_canary_in_which_a_person_decides_need_not_say_so(mode: GatewayMode) -> None:
    """Without a measurement nothing waits for latencies."""
    assert places(mode, canary({"type": "pause"})) == []


@pytest.mark.parametrize("preset", ["normal", "careful", "quick"])
def test_a_preset_is_for_who_has_the_machines_for_its_shares(preset: str) -> None:
    """Of ten, a tenth can be given, and 1 % cannot; judged by errors, it is a canary like any other."""
    spec = service({"type": "canary", "preset": preset, "analysis": BY_ERRORS})
    assert places(MIXED, spec) == ([] if preset != "careful" else ["strategy.preset"])
    assert places(FLIP, spec) == ["strategy.preset"]


def test_a_measurement_is_longer_than_what_is_counted_is_late() -> None:
    """Else it would end without a verdict, always."""
    (lack,) = lacks(MIXED, canary({"type": "measure", "max": "2m"}, analysis=BY_ERRORS))
    assert (lack.place[-1], lack.instead) == ("max", "max: 30m")
    assert places(MIXED, canary({"type": "measure", "max": "5m"}, analysis=BY_ERRORS)) == []


@pytest.mark.parametrize("mode", [FLIP, MIXED])
def test_requests_of_ones_own_reach_no_release_of_their_choice(mode: GatewayMode) -> None:
    """They name the release by a header, which such a gateway does not heed."""
    spec = canary({"type": "pause"}, analysis={"synthetic": {"path": "/"}})
    assert places(mode, spec) == ["strategy.analysis.synthetic"]


def test_a_check_before_the_switch_needs_a_preview() -> None:
    """A flip has a listener for the idle colour; in a mixed pool there is nobody to ask."""
    spec = service({"type": "blue-green", "checks": {"before": [{"type": "http", "path": "/"}]}})
    assert places(FLIP, spec) == [] and places(MIXED, spec) == ["strategy.checks.before.0"]
