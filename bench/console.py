"""The console with 200 services, of which 20 change all the time: first useful paint, and how late it shows what happens.

Chromium and the server share the machine; the providers are in memory, so that what is measured is the console and its API.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from tempfile import TemporaryDirectory
from typing import IO

from playwright.sync_api import BrowserContext, Page
from tests.console.browser import NARROW, WIDE, chromium

from bench.consoleserver import MOVING, SERVICES
from bench.report import Report, Row

PAINTS, CHANGES = 10, 20
PAINTED = f"""() => new Promise((done) => {{
  const look = () => document.querySelectorAll("li.row").length >= {SERVICES}
    ? requestAnimationFrame(() => setTimeout(() => done(performance.now())))
    : requestAnimationFrame(look);
  look();
}})"""
"""Milliseconds from the beginning of the navigation until the frame with every row has been painted."""
SEEN = """([name, words]) => new Promise((done) => {
  const row = () => [...document.querySelectorAll("li.row")].find((each) => each.querySelector(".name").textContent === name);
  const look = () => row()?.textContent.includes(words) ? done(Date.now()) : requestAnimationFrame(look);
  look();
})"""
"""When a row says some words, in milliseconds."""
TELL = """async ([name, verb]) => {
  const now = Date.now();
  await fetch(`/v1/services/${name}/commands`, { method: "POST", body: JSON.stringify({ type: verb, by: "bench" }),
    headers: { "content-type": "application/json", "x-bleen-key": localStorage.getItem("bleen-key") } });
  return now;
}"""


def run() -> Report:
    """Measure, in about a minute."""
    report = Report("console", notes=[f"{SERVICES} services, {MOVING} changing, one more waiting for a person"])
    with _server() as (address, codes), chromium() as browser:
        for size in (WIDE, NARROW):
            context = browser.new_context(viewport=size)  # type: ignore[arg-type]
            page = _signed_in(context, address, codes)
            painted = [_paint(context, address) for _ in range(PAINTS)]
            width = size["width"]
            report.rows.append(Row(f"first useful paint at {width} px, median of {PAINTS}", median(painted), "ms", goal=1000))
            report.rows.append(Row(f"first useful paint at {width} px, slowest", max(painted), "ms"))
            if size is WIDE:
                lags = _lags(page)
                report.rows.append(Row(f"from a command to its row, median of {CHANGES}", median(lags), "ms", goal=1000))
                report.rows.append(Row("from a command to its row, slowest", max(lags), "ms"))
            context.close()
    return report


def _signed_in(context: BrowserContext, address: str, codes: "Codes") -> Page:
    page = context.new_page()
    page.goto(f"{address}/console/#code={codes.next()}")
    page.locator("li.row").nth(SERVICES - 1).wait_for(state="attached")
    return page


def _paint(context: BrowserContext, address: str) -> float:
    page = context.new_page()
    try:
        page.goto(f"{address}/console/", wait_until="commit")
        taken: float = page.evaluate(PAINTED)
        return taken
    finally:
        page.close()


def _lags(page: Page) -> list[float]:
    """Return the milliseconds from each of many commands to the moment at which another row of the page tells of it."""
    page.bring_to_front()
    name, lags = f"service-{MOVING:03}", []
    for number in range(CHANGES):
        verb, words = (("pause", "paused by bench"), ("resume", "ask: "))[number % 2]
        told = page.evaluate(TELL, [name, verb])
        lags.append(page.evaluate(SEEN, [name, words]) - told)
        time.sleep(0.3)
    return lags


class Codes:
    """Codes of links, one for each browser."""

    def __init__(self, asks: IO[str], answers: IO[str]) -> None:
        self._asks = asks
        self._answers = answers

    def next(self) -> str:
        """Return another one."""
        self._asks.write("\n")
        self._asks.flush()
        return self._answers.readline().strip()


@contextmanager
def _server() -> Iterator[tuple[str, Codes]]:
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "bench.consoleserver", folder]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin is not None and process.stdout is not None
        try:
            yield process.stdout.readline().strip(), Codes(process.stdin, process.stdout)
        finally:
            process.stdin.close()
            process.wait(20)
