"""What traffic has shown, in words: signals, readings, verdicts."""

from typing import assert_never

from bleen.domain.signals import Golden
from bleen.domain.verdict import Assessment, Cause, Fail, Inconclusive, Pass, Reading, Verdict
from bleen.interfaces.figures import counted, figure, lasting, tally

_CAUSES = {
    Cause.BAKING: ("not yet", "it bakes"),
    Cause.MORE_REQUESTS: ("not yet", "more requests are needed"),
    Cause.NO_TRAFFIC: ("unknown", "there are no requests"),
    Cause.METRICS_GONE: ("held", "nobody counts"),
    Cause.SHARED_OUTAGE: ("held", "both releases fail"),
    Cause.STABLE_SICK: ("held", "the stable release fails"),
}


def assessment_words(assessment: Assessment) -> list[str]:
    """Return what the traffic has shown: a line for each metric, and the verdict in a sentence."""
    return [*map(reading_words, assessment.readings), *map(signals_words, assessment.signals), verdict_words(assessment)]


def signals_words(signals: Golden) -> str:
    """Return ``r2 50.2/s, p50 3 ms, p95 11 ms, p99 20 ms; 5xx 0.2/s, reset 0.1/s; 12 connections, 0.12 cores, 34 MB``."""
    slow = [f"{name} {figure(ms, 'ms')}" for name, ms in (("p50", signals.p50), ("p95", signals.p95), ("p99", signals.p99))]
    bad = [f"{name} {figure(rate, '')}/s" for name, rate in sorted(signals.classes.items()) if name in ("4xx", "5xx")]
    bad += [f"{name} {figure(rate, '')}/s" for name, rate in sorted(signals.reasons.items())]
    full = [counted(signals.connections, "connection")]
    full += [f"{signals.pending:,} waiting"] if signals.pending else []
    full += [f"{figure(signals.cpu, '')} cores"] if signals.cpu is not None else []
    full += [f"{signals.memory / 1e6:,.0f} MB"] if signals.memory is not None else []
    parts = [", ".join([f"r{signals.release} {figure(signals.rate, '')}/s", *slow]), ", ".join(bad), ", ".join(full)]
    return "; ".join(part for part in parts if part)


def reading_words(reading: Reading) -> str:
    """Return ``errors 5.2 % beside 0.11 %, evidence against it 3.1 of 4.6, for it 0.0 of 3.0``."""
    name, new = reading.metric, figure(reading.canary, reading.unit)
    if counts_strikes(reading):
        return f"{name} {new}, out of bounds {reading.worse:.0f} times in a row of {reading.worse_at:.0f}"
    old = figure(reading.baseline, reading.unit)
    against, good = tally(reading.worse, reading.worse_at), tally(reading.fine, reading.fine_at)
    return f"{name} {new} beside {old}, evidence against it {against}, for it {good}"


def counts_strikes(reading: Reading) -> bool:
    """Return whether a reading is a number within bounds: nothing is compared with it."""
    return not reading.unit and reading.baseline is None


def verdict_words(assessment: Assessment) -> str:
    """Return the verdict in a sentence, with what it still takes."""
    match assessment.verdict:
        case Pass(why):
            return f"good: {why}"
        case Fail(_, why):
            return f"bad: {why}"
        case Inconclusive(cause, why, requests, seconds):
            pace = f", {lasting(seconds)} at {figure(assessment.rate, '')} a second" if requests and seconds else ""
            return f"{_CAUSES[cause][0]}: {why}{pace}"
    assert_never(assessment.verdict)


def verdict_name(verdict: Verdict) -> str:
    """Return a verdict in a few words that stay the same while the figures change."""
    match verdict:
        case Pass():
            return "it is good"
        case Fail(metric):
            return f"too bad: {metric}"
        case Inconclusive(cause):
            return _CAUSES[cause][1]
    assert_never(verdict)
