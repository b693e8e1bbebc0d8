"""A release day at the console, over a real platform: a deployment, a canary that is approved, a bad one, the audit."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

import pytest
from playwright.sync_api import Browser

from bleen.domain.rollout import Promoted, RolledBack
from tests.console.browser import Seat, seat
from tests.journeys.stage import Play, Stage, Traffic

pytestmark = [pytest.mark.journey, pytest.mark.timeout(400)]
HALF: dict[str, object] = {"type": "weight", "percent": 50}
MEASURE: dict[str, object] = {"type": "measure", "max": "60s"}
ASK: dict[str, object] = {"type": "judge", "question": "Is the new price list right?"}


@pytest.fixture
def seated(browser: Browser, stage: Stage, size: dict[str, int]) -> Iterator[Seat]:
    """Ada at a browser, signed in with the link that the command line prints."""
    with seat(browser, stage.client.server.address, size) as taken:
        taken.sign_in(stage.client.link("ada").code)
        yield taken


@pytest.fixture
def name(size: dict[str, int]) -> str:
    """A service of its own for each width."""
    return f"shop-{size['width']}"


@contextmanager
def beside(traffic: AbstractContextManager[Traffic]) -> Iterator[None]:
    """Have ``traffic`` in a thread of its own: Playwright's event loop holds this one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(traffic.__enter__).result()
        try:
            yield
        finally:
            thread.submit(traffic.__exit__, None, None, None).result()


def weights(seated: Seat) -> set[str]:
    """Return how the split was told since the page was opened."""
    return set(seated.page.evaluate("window.splits || []"))


WATCH = """() => {
  window.splits = [];
  const look = () => {
    const bar = document.querySelector(".colours .split");
    if (bar) window.splits.push(bar.getAttribute("aria-label"));
  };
  const what = { subtree: true, childList: true, attributes: true, attributeFilter: ["aria-label"] };
  new MutationObserver(look).observe(document.body, what);
  look();
}"""


def test_a_release_day(stage: Stage, seated: Seat, name: str) -> None:
    """Given a deployed service, when a canary is approved and a bad one follows, then all of it is seen."""
    play = stage.canary(name, HALF, MEASURE, ASK)
    deployed_before_the_eyes(play, seated)
    with beside(play.traffic(150)):
        approved(play, seated)
        rolled_back(play, seated)
    found_in_the_audit(play, seated)


def deployed_before_the_eyes(play: Play, seated: Seat) -> None:
    """It comes into the list by itself, and its page says how it went."""
    number = play.begin()
    seated.see(play.name, exact=True)
    seated.page.get_by_role("link", name=play.name, exact=True).click()
    assert play.settled(number).outcome == Promoted()
    seated.page.get_by_text("promoted", exact=True).first.wait_for()
    seated.page.get_by_text("Nothing is under way.").wait_for(timeout=60_000)


def approved(play: Play, seated: Seat) -> None:
    """Its weight moves, both colours are drawn, the evidence grows, it asks, and the answer is given here."""
    seated.page.evaluate(WATCH)
    number = play.begin()
    seated.page.get_by_role("button", name="Approve").wait_for(timeout=60_000)
    seated.see("Ask: Is the new price list right?")
    assert "Split: blue 50 %, green 50 %" in weights(seated)
    evidence = seated.page.get_by_role("region", name="Evidence")
    assert re.search(r"\d+ requests? to the new release", evidence.inner_text())
    assert evidence.get_by_role("img", name=re.compile("against it: 0.0 of")).count()
    seated.page.get_by_role("img", name=re.compile(r"Traffic.*blue [1-9][\d.]* .s, green [1-9]")).wait_for()
    seated.is_good()
    seated.press("Approve")
    assert play.settled(number).outcome == Promoted()
    assert [line.by for line in play.lines("promote") if line.by] == ["ada"]
    play.ended()


def rolled_back(play: Play, seated: Seat) -> None:
    """It fails its requests: it goes back by itself, and the history says why."""
    number = play.begin(ERRORS="0.5")
    outcome = play.settled(number).outcome
    assert isinstance(outcome, RolledBack)
    seated.see("rolled back", exact=True)
    history = seated.page.get_by_role("region", name="History")
    history.get_by_text("its traffic says no").first.wait_for()
    history.get_by_role("link").first.click()
    seated.see("of its requests fail")
    seated.see("evidence against it")
    seated.is_good()


def found_in_the_audit(play: Play, seated: Seat) -> None:
    """Who approved, and that it went back."""
    seated.go("/audit")
    seated.page.get_by_label("Service", exact=True).fill(play.name)
    for words in ("asked to promote", "settled: rolled back", "made r3"):
        seated.see(words)
    seated.is_good()
