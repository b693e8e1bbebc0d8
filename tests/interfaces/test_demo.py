"""The demo's report: which requests a deployment lost, which a release that was tried harmed, and what the traffic said."""

import io
from dataclasses import replace

import pytest

from bleen.app.platform import LocalPlatform
from bleen.domain.verdict import Pass
from bleen.interfaces.cli.acts import WENT_BACK, Act, report
from bleen.interfaces.cli.session import Session
from bleen.interfaces.cli.story import judgement
from bleen.interfaces.cli.teller import Teller
from bleen.providers.load import Sample
from bleen.settings import read_settings
from tests.interfaces.measured import WORSE, explanation, story

SWITCH = Act("hello", "r1", "r2", "promoted", True, began=0.0, ended=10.0, shifted=5.0, release="r2")
BACK = Act("hello", "r2", "r1", WENT_BACK, True, began=20.0, ended=21.0, release="r2")
CANARY = Act("greeter", "r1", "r2", "rolled back", True, began=0.0, ended=10.0, release="r2", tried=True, verdict="bad: why")


def sample(due: float, by: str = "r1", failure: str = "") -> Sample:
    """Return a request that was answered 10 ms after it was due."""
    return Sample(due, due, due + 0.01, by, failure)


def test_what_a_tried_release_answers_with_5xx_is_harm_and_not_loss() -> None:
    """Users were harmed, by the release, and the deployment lost nothing."""
    samples = [sample(1.0), sample(2.0, "r2", "500 told to fail"), sample(4.5, "r2", "500 told to fail"), sample(5.0, "r2")]
    act = replace(CANARY)
    found = report([act], {"greeter": samples})
    assert (found.requests, found.failed, found.harmed) == (4, 0, 2)
    assert act.plain == {
        "service": "greeter",
        "from": "r1",
        "to": "r2",
        "outcome": "rolled back",
        "failed_requests": 0,
        "harmed_requests": 2,
        "harmed_seconds": 2.5,
        "verdict": "bad: why",
        "seconds": 10.0,
    }


@pytest.mark.parametrize(
    "lost",
    [
        sample(2.0, "r1", "500 told to fail"),
        sample(2.0, "r2", "503 no healthy upstream"),
        sample(2.0, "r2", "502 upstream connect error"),
        sample(2.0, "r2", "404 not found"),
        sample(2.0, "", "closed under a request (end of file)"),
        sample(2.0, "", "no answer in 30 s"),
    ],
    ids=lambda s: f"{s.answered_by}: {s.failure}",
)
def test_every_other_failure_is_a_lost_request(lost: Sample) -> None:
    """The stable release's, the gateway's own, and those that nobody answered: none is put down to the canary."""
    act = replace(CANARY)
    found = report([act], {"greeter": [lost]})
    assert (found.failed, found.harmed, act.failed, act.harmed) == (1, 0, 1, 0)
    assert not found.ok


def test_a_release_that_was_given_all_traffic_at_once_harms_nobody_by_right() -> None:
    """Blue-green has no excuse: what its new release fails is lost."""
    found = report([replace(SWITCH)], {"hello": [sample(6.0, "r2", "500 told to fail")]})
    assert (found.failed, found.harmed) == (1, 0)


def test_failures_between_the_acts_count() -> None:
    """Nobody looks the other way while nothing is deployed."""
    found = report([replace(SWITCH)], {"hello": [sample(11.0, "r2", "500 told to fail"), sample(6.0, "r2")]})
    assert found.failed == 1 and found.acts[0].failed == 0 and not found.ok


def test_a_switch_lasts_from_its_decision_to_the_first_answer() -> None:
    """A rollback, from the word to the last request that the other release answered; both in milliseconds."""
    samples = [sample(4.0), sample(5.0), sample(5.012, "r2"), sample(5.02, "r2"), sample(20.03, "r2"), sample(20.04, "r1")]
    found = report([replace(SWITCH), replace(BACK)], {"hello": samples})
    assert found.ok and found.switch_ms == pytest.approx([12.0]) and found.rollback_ms == pytest.approx(30.0)


def test_a_report_keeps_what_programs_read() -> None:
    """The keys of `bleen demo --json` are a contract."""
    plain = report([replace(SWITCH), replace(CANARY)], {"hello": [sample(5.5, "r2")], "greeter": []}).plain()
    assert plain["ok"] is True and plain["switch_ms"] == {"median": 500.0, "max": 500.0}
    assert plain.keys() == {
        "ok", "requests", "failed_requests", "harmed_requests", "switch_ms", "rollback_ms", "rollouts",
    }  # fmt: skip


def test_an_act_that_came_out_otherwise_is_not_ok() -> None:
    """Nothing lost is not enough: the bad release must have been refused."""
    found = report([replace(SWITCH), replace(CANARY, as_expected=False)], {"hello": [sample(5.5, "r2")], "greeter": []})
    assert found.failed == 0 and not found.ok


def test_the_verdict_is_the_last_thing_that_the_traffic_said_for_sure() -> None:
    """What was inconclusive before it is no verdict."""
    bad, good = (judgement(explanation(story(bad=bad)).lines) for bad in (True, False))
    assert bad is not None and bad.verdict == WORSE
    assert good is not None and isinstance(good.verdict, Pass)
    undecided = [line for line in explanation(story()).lines if "more requests" in line.why]
    assert undecided and judgement(undecided) is None


def told(json: bool) -> str:
    """Return what the demo prints of a canary that harmed two requests."""
    out = io.StringIO()
    teller = Teller(Session(LocalPlatform(read_settings({})), json=json, out=out))
    teller.say("deploy greeter 3.0")
    if not json:
        harm = [sample(2.0, "r2", "500 told to fail"), sample(4.5, "r2", "500 told to fail")]
        teller.conclude(report([replace(SWITCH), replace(CANARY)], {"hello": [sample(5.5, "r2")], "greeter": harm}))
    return out.getvalue()


def test_the_harmed_are_told_apart_from_the_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """In words, with how long it went on; no line is wider than the terminal."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = told(json=False).splitlines()
    assert any(line.startswith("requests") and "3, of which 0 were lost" in line for line in lines)
    assert any(line.startswith("harmed") and "2 that greeter r2 failed itself, within 2.5 s" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_programs_hear_no_story() -> None:
    """With ``--json`` the one object is all."""
    assert told(json=True) == ""
