"""The tree of a service, for every state it can be in, within the width of a terminal."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs
from rich.console import Console

from bleen.domain.decision import AskHuman, Launch, Retire, Wait
from bleen.domain.fleet import Fleet, Instance, InstanceState, Slot
from bleen.domain.ledger import Decided, Entry
from bleen.domain.plan import Intent, plan
from bleen.domain.rollout import Observation, Promoted, ReleaseRef, RolledBack, Rollout
from bleen.domain.service import BlueGreen
from bleen.domain.strategy import KeepWarm
from bleen.domain.traffic import WHOLE, Baseline, Colour, GatewaySeen, Route, Split
from bleen.domain.views import explain
from bleen.interfaces.cli.tree import rollout_lines, service_lines, stack, summary_line, time_left
from bleen.interfaces.views import ServiceView, Urls
from bleen.interfaces.words import decision_words, evidence_words, route_words
from bleen.workflows.messages import Progress

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD = ReleaseRef(1, "0.65.2", "sha256:" + "a" * 64)
NEW = ReleaseRef(2, "1.0a13-a-long-name-for-a-version-of-anything", "sha256:" + "b" * 64)


def fleet(colour: Colour, release: int, *states: InstanceState, region: str = "local") -> Fleet:
    """Return a fleet with an instance in each of ``states``."""
    instances = tuple(
        Instance(f"datasette-{colour}-r{release}-{n}", "127.1.2.3", 8080, state, NOW, restarts=n, last_exit="exit 1")
        for n, state in enumerate(states)
    )
    return Fleet(Slot("dev", region, "datasette", colour), release, len(states), instances)


def gateway(weight: int, region: str = "local") -> GatewaySeen:
    """Return a gateway that gives green ``weight``."""
    route = Route("dev", "datasette", ("datasette.localhost",), Split.of(Colour.GREEN, weight), 1, 2, Colour.GREEN)
    return GatewaySeen(f"gateway-{region}", region, True, route, 7)


def rollout() -> Rollout:
    """Return a rollout from blue r1 to green r2."""
    route = Route("dev", "datasette", ("datasette.localhost",), Split.of(Colour.BLUE), 1)
    seen = Observation(NOW, (fleet(Colour.BLUE, 1, InstanceState.READY),), (GatewaySeen("g", "local", True, route, 1),))
    intent = Intent("dev/datasette/2", "dev", "datasette", (), ("local",), NEW, BlueGreen(), 2, "somebody")
    return plan(intent, {1: OLD, 2: NEW}, seen, NOW)


def view(**changes: object) -> ServiceView:
    """Return a service in the midst of a rollout."""
    made = ServiceView(
        environment="dev",
        service="datasette",
        state="changing",
        stable=OLD,
        urls=Urls("http://datasette.localhost:8080", "http://preview.datasette.localhost:8080", "http://127.0.0.1:8100"),
        fleets=(
            fleet(Colour.BLUE, 1, InstanceState.READY, InstanceState.DRAINING),
            fleet(Colour.GREEN, 2, InstanceState.STARTING, InstanceState.CRASHED, InstanceState.SICK),
        ),
        gateways=(gateway(0),),
        progress=Progress(rollout(), Wait("1 of 2 instances of r2 is ready, and the gateways find none healthy yet" * 2)),
        history=(),
        at=NOW + timedelta(seconds=12),
    )
    return structs.replace(made, **changes)


def shown(seen: ServiceView, width: int = 80, *, compact: bool = False) -> list[str]:
    """Return the lines of the tree on a terminal of ``width``."""
    console = Console(width=width, force_terminal=True, color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(stack(rollout_lines(seen, compact=True) if compact else service_lines(seen), width))
    return capture.get().splitlines()


SIGHTS = {
    "in the midst": view(),
    "silent gateway": view(gateways=(structs.replace(gateway(0), answered=False, route=None),), state="unknown"),
    "silent machines": view(fleets=(), silent=("machines", "engine")),
    "no rollout": view(progress=None),
    "nothing at all": view(progress=None, fleets=(), gateways=(), stable=None),
    "two regions": view(
        fleets=(fleet(Colour.BLUE, 1, InstanceState.READY, region="north"), fleet(Colour.BLUE, 1, region="a-far-away-region")),
        gateways=(gateway(0, "north"), gateway(WHOLE, "a-far-away-region")),
    ),
    "an error": view(progress=Progress(rollout(), None, "the image is not what its digest says: " * 4)),
    "going back": view(progress=Progress(structs.replace(rollout(), retreat=RolledBack("it crashed " * 20)), None)),
    "asking": view(progress=Progress(rollout(), AskHuman("promote r2?", "checks passed", NOW + timedelta(hours=2)))),
}


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("name", SIGHTS)
def test_the_tree_fits_every_terminal(name: str, width: int) -> None:
    """No line is wider, whatever names and reasons it holds; and none is wrapped."""
    for compact in (False, True):
        lines = shown(SIGHTS[name], width, compact=compact)
        assert lines
        assert [line for line in lines if len(line) > width] == []


def test_the_tree_tells_what_matters() -> None:
    """Colours, weights, instances with restarts, steps, time left, and why it waits."""
    text = "\n".join(shown(view(), 200))
    for words in (
        "datasette  dev  changing  r1 0.65.2",
        "100 %  1/2 ready",
        "0 %  0/3 ready  preview",
        "crashed (exit 1, 1 restart)",
        "rollout dev/datasette/2  r1 → r2",
        "▸ start the fleet  9m48s until it is rolled back",
        "· switch to 100 %",
        "why 1 of 2 instances of r2 is ready",
    ):
        assert words in text


def beside_the_canary() -> ServiceView:
    """Return a service whose canary has 10 %, and a baseline fleet as much."""
    twin = fleet(Colour.BLUE, 1, InstanceState.READY)
    twin = structs.replace(twin, slot=structs.replace(twin.slot, baseline=True))
    green = gateway(1000)
    assert green.route is not None
    part = structs.replace(green, route=structs.replace(green.route, baseline=Baseline(Colour.BLUE, 1000)))
    return view(fleets=(twin, *view().fleets), gateways=(part,))


def test_a_baseline_fleet_is_shown_with_its_part_below_the_fleet_of_its_colour() -> None:
    """What it has is not the colour's any more: the three shares sum to 100 %."""
    lines = [line for line in shown(beside_the_canary()) if line.startswith(("  ● ", "  ○ "))]
    assert [line.split("░")[-1].split("█")[-1].split() for line in lines] == [
        ["80", "%", "1/2", "ready"],
        ["10", "%", "1/1", "ready", "baseline"],
        ["10", "%", "0/3", "ready"],
    ]
    assert "blue-baseline r1 1/1 ready 10 %" in summary_line(beside_the_canary())


def test_decisions_and_evidence_name_the_baseline_fleet() -> None:
    """In `explain`, in dry runs and in the ledger's lines, it cannot be taken for the stable one."""
    seen = beside_the_canary()
    (route,) = [g.route for g in seen.gateways]
    assert route is not None
    assert route_words(route) == "blue r1 80 %, green r2 10 %, blue-baseline r1 10 %, preview green"
    assert decision_words(Launch(Colour.BLUE, 1, 2, "", baseline=True)) == "launch blue-baseline r1, 2 instances"
    assert decision_words(Retire(Colour.BLUE, 1, "", baseline=True)) == "retire blue-baseline r1"
    entry = Entry(1, NOW, "k", "dev", "datasette", Decided(Wait("w"), Observation(NOW, seen.fleets, seen.gateways)))
    (line,) = explain([entry])
    assert line.evidence is not None
    words = evidence_words(line.evidence)
    assert words.startswith("blue-baseline r1 1/1 ready; blue r1 1/2 ready")
    assert words.endswith("gateway-local has blue 90 % green 10 %, of blue's 10 % for its baseline fleet")


def test_gateways_that_differ_are_shown_as_a_range() -> None:
    """A split that has not spread is not called one number."""
    seen = view(gateways=(gateway(0), structs.replace(gateway(WHOLE), gateway="second")))
    assert "0-100 %" in "\n".join(shown(seen))


def test_the_time_of_instant_rollback_is_counted_down() -> None:
    """And ends at zero, never below."""
    warm = rollout()
    index = next(i for i, step in enumerate(warm.steps) if isinstance(step, KeepWarm))
    warm = structs.replace(warm, step=index, outcome=Promoted())
    assert time_left(warm, NOW + timedelta(minutes=9)) == "1m00s of instant rollback left"
    assert time_left(warm, NOW + timedelta(hours=1)) == "0.0s of instant rollback left"


def test_a_pause_is_shown_instead_of_a_deadline() -> None:
    """A paused rollout never times out."""
    paused = structs.replace(rollout(), paused_since=NOW, paused_by="somebody")
    assert time_left(paused, NOW + timedelta(seconds=5)) == "paused by somebody, 5.0s"


def test_a_summary_changes_only_when_something_happened() -> None:
    """So that a log of it stays short."""
    assert summary_line(view()) == summary_line(view(at=NOW + timedelta(hours=1)))
    assert summary_line(view()) != summary_line(view(gateways=(gateway(WHOLE),)))
