"""What the traffic has shown, in words, in the tree and in the past."""

from datetime import timedelta
from io import StringIO
from itertools import pairwise

import pytest
from msgspec import structs
from rich.console import Console

from bleen.domain.canary import Unsure
from bleen.domain.decision import AskHuman, Decision, Wait
from bleen.domain.duration import Duration
from bleen.domain.ledger import Draft, Measured
from bleen.domain.rollout import RolledBack, Rollout
from bleen.domain.signals import Golden
from bleen.domain.strategy import Judge, OpenCohort, Stay
from bleen.domain.traffic import HeaderCohort
from bleen.domain.verdict import Cause, Inconclusive, Pass
from bleen.interfaces.api.reading import whole
from bleen.interfaces.cli.outcome import conclude
from bleen.interfaces.cli.session import Session
from bleen.interfaces.cli.tree import measured_lines, progress_line, rollout_lines, stack, time_left
from bleen.interfaces.figures import figure
from bleen.interfaces.thinning import thinned
from bleen.interfaces.verdicts import assessment_words, verdict_name
from bleen.interfaces.views import ServiceView, Urls
from bleen.providers.memory.ledger import MemoryLedger
from bleen.workflows.messages import Progress, Started
from tests.contracts.ledger import a_release
from tests.interfaces.conftest import Bleen
from tests.interfaces.estate import Estate
from tests.interfaces.measured import MORE, NEW, NOW, WORSE, assessment, canary, explanation, story

GONE = Inconclusive(Cause.METRICS_GONE, "nobody counts requests: the gateway is away")


def measured(rollout: Rollout | None = None, **changes: object) -> Rollout:
    """Return a rollout with what its traffic has shown."""
    return structs.replace(rollout or canary(), assessment=structs.replace(assessment(), **changes))


def shown(rollout: Rollout, *, compact: bool, width: int = 80, decision: Decision | None = None) -> list[str]:
    """Return the lines of its tree."""
    seen = ServiceView("dev", "shop", "changing", rollout.stable, Urls("u", "p"), (), (), Progress(rollout, decision), (), NOW)
    console = Console(width=width, force_terminal=True, color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(stack(rollout_lines(seen, compact=compact), width))
    return capture.get().splitlines()


def test_the_words_name_both_releases_and_the_evidence() -> None:
    """A line for each metric, then one sentence with the requests and the time still needed."""
    assert assessment_words(assessment()) == [
        "errors 0.2 % beside 0.11 %, evidence against it 2.3 of 4.6, for it 0.4 of 3.0",
        "latency 1,250 ms beside 48 ms, evidence against it 0.0 of 4.6, for it 3.4 of 3.0",
        "queue-of-a-very-long-name-that-is-cut 12, out of bounds 2 times in a row of 3",
        "not yet: about 1,200 more requests to it are needed, for its errors, 24s at 50 a second",
    ]


@pytest.mark.parametrize(("verdict", "head"), [(WORSE, "bad: 5.2 %"), (Pass("fine"), "good: fine"), (GONE, "held: nobody")])
def test_every_verdict_begins_with_what_it_is(verdict: Pass, head: str) -> None:
    """Good, bad, not yet, unknown or held."""
    assert assessment_words(assessment(verdict))[-1].startswith(head)


def test_every_cause_has_words_of_its_own() -> None:
    """No two reasons to wait read the same."""
    names = {verdict_name(Inconclusive(cause, "")) for cause in Cause}
    assert len(names) == len(Cause)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0 %"), (0.012345, "0.012 %"), (5.216, "5.22 %"), (99.95, "100 %"), (1234.5, "1,234 %")],
)
def test_figures_are_as_short_as_people_read_them(value: float | None, text: str) -> None:
    """Three digits at most, and nothing known is a dash."""
    assert figure(value, "%") == text


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("compact", [True, False])
def test_the_table_fits_every_terminal(width: int, compact: bool) -> None:
    """Whatever the metrics are called."""
    assert [line for line in shown(measured(), compact=compact, width=width) if len(line) > width] == []


def test_the_table_stands_below_the_step_and_is_aligned() -> None:
    """Metric, new, old, evidence against and for; the counts; the verdict."""
    lines = shown(measured(), compact=False)
    step = next(n for n, line in enumerate(lines) if "▸ let the traffic decide" in line)
    assert [line.rstrip() for line in lines[step + 1 : step + 8]] == [
        "                           r2       r1  against it          for it",
        "      errors            0.2 %   0.11 %  ███░░░ 2.3 of 4.6   ░░░░░░ 0.4 of 3.0",
        "      latency        1,250 ms    48 ms  ░░░░░░ 0.0 of 4.6   ██████ 3.4 of 3.0",
        "      queue-of-a-v…        12        -  ████░░ 2.0 of 3.0",
        "      1,234 requests to r2, 11,106 to r1, 50 a second of late",
        "      not yet: about 1,200 more requests to it are needed, for its errors, 24s",
        "      at 50 a second",
    ]
    assert "errors            0.2 %" in "\n".join(shown(measured(), compact=True))


def test_the_golden_signals_stand_below_the_table() -> None:
    """Of both releases, wrapped within the terminal: traffic, latencies, errors by class and reason, saturation."""
    new = Golden(2, 50.2, 2.4, 3.0, 11.0, 20.0, {"2xx": 49.0, "5xx": 1.2}, {"reset": 0.1}, 12, 0, 0.12, 34_000_000)
    lines = shown(measured(signals=(new, structs.replace(new, release=1))), compact=False)
    assert [line for line in lines if len(line) > 80] == []
    said = " ".join(" ".join(lines).split())
    assert "r2 50.2/s, p50 3 ms, p95 11 ms, p99 20 ms; 5xx 1.2/s, reset 0.1/s; 12 connections, 0.12 cores, 34 MB" in said
    assert "r1 50.2/s" in said


def test_what_is_not_measured_has_no_table() -> None:
    """Neither before the first reading, nor once it goes back."""
    assert measured_lines(canary()) == []
    assert measured_lines(structs.replace(measured(), retreat=RolledBack("bad"))) == []


def test_a_log_tells_a_change_of_the_verdict_and_no_figures() -> None:
    """A line per change: figures alone are none."""

    def line(rollout: Rollout) -> str:
        view = ServiceView("dev", "shop", "changing", None, Urls("u", "p"), (), (), Progress(rollout, None), (), NOW)
        return progress_line(view, rollout.id)

    assert line(measured()) == line(measured(requests=9999))
    assert "(more requests are needed)" in line(measured())
    assert line(measured(verdict=GONE)) != line(measured())


def test_the_time_left_of_a_measurement_gives_back_what_was_held() -> None:
    """And stands still while nobody counts."""
    later = NOW + timedelta(minutes=10)
    assert time_left(canary(), later) == "20m00s until it is rolled back"
    assert time_left(measured(held=60.0), later) == "21m00s until it is rolled back, 1m00s given back"
    assert time_left(measured(held=60.0, verdict=GONE), later) == "the clock stands still, for 1m00s by now"
    asking = canary(Unsure.ASK)
    assert time_left(asking, later) == "20m00s until a person is asked"
    assert time_left(asking, NOW + timedelta(minutes=90)) == "23h00m until it counts as abandoned"


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Stay(Duration(minutes=5)), "4m00s until it goes on"),
        (Judge(within=Duration(hours=1)), "59m00s to answer, then it is rolled back"),
        (Judge(Duration(minutes=2)), "1m00s until it goes on by itself"),
        (Judge(), "23h59m until it counts as abandoned"),
        (OpenCohort(HeaderCohort("x", "y")), "9m00s until it is rolled back"),
    ],
)
def test_every_step_that_waits_says_for_how_long(step: Stay | Judge | OpenCohort, words: str) -> None:
    """And what happens then."""
    rollout = canary()
    steps = (*rollout.steps[: rollout.step], step, *rollout.steps[rollout.step + 1 :])
    assert time_left(structs.replace(rollout, steps=steps), NOW + timedelta(minutes=1)) == words


def test_why_it_waits_stays_below_the_table() -> None:
    """The decision is the last thing to be read."""
    assert "why 10 % of the traffic" in shown(measured(), compact=True, decision=Wait("10 % of the traffic decides"))[-1]
    assert "ask: Go on?" in shown(measured(), compact=False, decision=AskHuman("Go on?", "it did not tell"))[-1]


def test_a_long_measurement_is_told_in_few_lines() -> None:
    """The first, every change of the verdict, ever fewer between, and the last; and nothing else is left out."""
    lines = explanation(story(seconds=5400, every=10)).lines
    few = thinned(lines)
    told = [line for line in few if isinstance(line.event, Measured)]
    every = [line for line in lines if isinstance(line.event, Measured)]
    assert (told[0], told[-1]) == (every[0], every[-1])
    assert len(every) > 500
    assert len(told) < 20
    assert [line for line in few if line not in told] == [line for line in lines if line not in every]
    gaps = [b.after - a.after for a, b in pairwise(told[1:-1])]
    assert gaps == sorted(gaps)


def test_each_change_of_the_verdict_is_told() -> None:
    """However shortly it lasted."""
    lines = list(explanation(story(seconds=300, every=10)).lines)
    odd = next(n for n, line in enumerate(lines) if line.after == 150)
    lines[odd] = structs.replace(lines[odd], event=Measured(assessment(GONE)))
    told = thinned(lines)
    assert lines[odd] in told
    assert lines[odd + 1] in told


async def test_a_canary_of_days_is_read_whole() -> None:
    """The ledger gives a page at a time; all of them are read, each entry once."""
    ledger = MemoryLedger()
    for number in range(7):
        event = Measured(assessment(MORE, requests=number + 1))
        await ledger.append(Draft(f"k{number}", "dev", "shop", event, rollout="dev/shop/2"))
        await ledger.append(Draft(f"x{number}", "dev", "other", event, rollout="dev/other/1"))
    for page in (1, 2, 7, 8):
        assert [e.key for e in await whole(ledger, "dev/shop/2", page)] == [f"k{n}" for n in range(7)]


@pytest.fixture
def told(estate: Estate) -> Estate:
    """A platform whose ledger tells of a canary that its traffic rolled back."""
    for entry in story():
        draft = Draft(entry.key, entry.environment, entry.service, entry.event, entry.by, entry.rollout)
        estate.run(estate.ledger.append(draft))
    return estate


def test_a_deployment_that_its_traffic_refused_ends_with_the_sentence(told: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1, the reason, both releases' figures, and what to type next."""
    monkeypatch.setenv("COLUMNS", "200")
    out = StringIO()
    release = structs.replace(a_release(service="shop"), number=2, version="2.0", image=NEW.image)
    code = conclude(Session(told, out=out), "dev", "shop", Started("dev/shop/2", release), detach=False)
    assert code == 1
    words = out.getvalue()
    assert "r2 (2.0) was rolled back: its traffic says no: 5.2 % of its requests fail, and 0.1 % of r1's" in words
    assert "traffic errors 2.6" in words
    assert "evidence against it 4.7 of 4.6" in words
    assert "next: bleen explain dev/shop/2" in words


@pytest.mark.usefixtures("told")
def test_explain_tells_measurements_in_80_columns(bleen: Bleen) -> None:
    """The figures of both releases, their evidence and the verdict; every measurement with --json."""
    typed = bleen("explain", "dev/shop/2")
    assert [line for line in typed.out.splitlines() if len(line) > 80] == []
    said = " ".join(typed.out.split())
    assert "measured 500 requests beside 4,500" in said
    assert "evidence against it 4.7 of 4.6" in said
    assert "bad: 5.2 % of its requests fail" in said
    every = [line for line in bleen("explain", "dev/shop/2", "--json").json["lines"] if line["kind"] == "measured"]
    assert len(every) == len([e for e in story() if isinstance(e.event, Measured)])
    assert every[-1]["event"]["assessment"]["readings"][0]["worse"] == 4.7
    assert said.count("measured ") < len(every)
