"""Telling the demo's story: a line for everything that happens, and the report at the end."""

import time

from bleen.interfaces.cli.acts import Act, Report
from bleen.interfaces.cli.session import Session


class Teller:
    """Tells the story in plain lines, each with its time; says nothing with --json."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """Tell what happens now."""
        if not self._session.json:
            self._session.say(f"{time.monotonic() - self._began:5.1f}s  {text}", " " * 8)

    def conclude(self, report: Report) -> None:
        """Print the report."""
        session = self._session
        session.say()
        head = ("SERVICE", "FROM", "TO", "OUTCOME", "FAILED", "HARMED", "SECONDS")
        session.table(head, [_row(act) for act in report.acts])
        session.say()
        for name, text in _figures(report):
            session.say(f"{name:<18}{text}", " " * 18)
        session.say()
        session.say("now your own: bleen init myrepo, cd myrepo, bleen up, bleen deploy hello")


def _row(act: Act) -> tuple[str, ...]:
    took = f"{act.ended - act.began:.1f}"
    return (act.service, act.origin, act.target, act.outcome, str(act.failed), str(act.harmed), took)


def _figures(report: Report) -> list[tuple[str, str]]:
    """Return the figures below the table, each with its name."""
    plain = report.plain()
    figures = [("requests", f"{report.requests}, of which {report.failed} were lost to a deployment")]
    figures += [("harmed", _harm(act)) for act in report.acts if act.harmed]
    if report.switch_ms:
        switch = plain["switch_ms"]
        assert isinstance(switch, dict)
        figures.append(("switch", f"{switch['median']} ms from decision to first answer, at most {switch['max']} ms"))
    figures.append(("rollback", f"{plain['rollback_ms']} ms from the word to the last request on the other release"))
    figures.append(("verdict", "all as it should be" if report.ok else "NOT as it should be"))
    return figures


def _harm(act: Act) -> str:
    return f"{act.harmed} that {act.service} {act.target} failed itself, within {act.harmed_for:.1f} s, until it was out"
