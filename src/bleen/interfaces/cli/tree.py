"""A service as a person likes to see it: colours, weights, instances, steps, time left, and why it waits.

Lines of styled text, for a live view and for a plain one alike. None is longer than the terminal is wide.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from textwrap import wrap
from typing import TYPE_CHECKING

from rich.text import Text

from bleen.domain.canary import Unsure
from bleen.domain.comparison import comparison
from bleen.domain.decision import AskHuman, Wait
from bleen.domain.fleet import Fleet, Instance, InstanceState
from bleen.domain.rollout import Promoted, Rollout
from bleen.domain.service import Canary
from bleen.domain.strategy import (
    Analyse,
    Judge,
    KeepWarm,
    Learn,
    OpenCohort,
    OpenPreview,
    SetMirror,
    SetWeight,
    StartFleet,
    Stay,
)
from bleen.domain.traffic import WHOLE, Colour, GatewaySeen
from bleen.domain.trouble import deadline
from bleen.domain.verdict import HOLDING, Fail, Inconclusive, Pass, Reading
from bleen.interfaces.figures import ago, counted, figure, lasting, tally
from bleen.interfaces.verdicts import counts_strikes, signals_words, verdict_name, verdict_words
from bleen.interfaces.views import ServiceView
from bleen.interfaces.words import decision_words, instance_words, outcome_words, removing_words, step_words

if TYPE_CHECKING:
    from rich.console import RenderableType

_BAR = 20
_GAUGE, _METRIC, _EVIDENCE = 6, 14, 18
"""Widths of a bar of evidence, of a metric's name, and of a bar with its numbers."""
_SENTENCE = 74
_VERDICTS: dict[type, str] = {Pass: "green", Fail: "red", Inconclusive: "yellow"}
_STATES = {"serving": "green", "changing": "yellow", "degraded": "yellow", "down": "red", "unknown": "red"}
_INSTANCE = {
    InstanceState.READY: "green",
    InstanceState.STARTING: "yellow",
    InstanceState.SICK: "red",
    InstanceState.CRASHED: "red",
    InstanceState.DRAINING: "dim",
}


def stack(lines: Sequence[Text | str], width: int) -> "RenderableType":
    """Return ``lines`` below each other, each cut at ``width``."""
    from rich.console import Group

    shown = [Text(line) if isinstance(line, str) else line for line in lines]
    for line in shown:
        line.truncate(width, overflow="ellipsis")
        line.no_wrap = True
    return Group(*shown)


def service_lines(view: ServiceView) -> list[Text]:
    """Return one service whole."""
    lines = [_head(view), *_address_lines(view)]
    for fleet in sorted(view.fleets, key=lambda f: (f.slot.region, f.slot.colour, f.slot.baseline)):
        lines.append(_fleet_line(view, fleet))
        lines += [_instance_line(i, view.at) for i in fleet.instances]
    lines += [_silent_line(g) for g in view.gateways if not g.answered]
    lines += [Text(f"  no answer from the {part}: what is known of it is missing here", style="red") for part in view.silent]
    lines += [Text(f"  {view.trouble}", style="red")] if view.trouble else []
    if view.progress is not None:
        lines += rollout_lines(view)
    elif view.removing is not None:
        lines.append(Text(f"  {removing_words(view.removing)}", style="yellow"))
    elif view.history:
        lines.append(_last_line(view))
    return lines


def rollout_lines(view: ServiceView, *, compact: bool = False) -> list[Text]:
    """Return the rollout under way; ``compact`` is for following it alone."""
    if view.progress is None:
        return [Text(f"  {view.service}: no rollout is under way", style="dim")]
    rollout = view.progress.rollout
    lines = [_rollout_head(rollout, view.at)]
    if compact:
        lines += [_fleet_line(view, fleet) for fleet in view.fleets]
    if compact:
        lines += [_steps_line(rollout), *measured_lines(rollout)]
    else:
        for index in range(len(rollout.steps)):
            lines.append(_step_line(rollout, index, view.at))
            lines += measured_lines(rollout) if index == rollout.step else []
        lines += measured_lines(rollout) if rollout.current is None else []
    return [*lines, *_why_lines(view)]


def progress_line(view: ServiceView, rollout: str) -> str:
    """Return how far ``rollout`` is, in one line that changes only when something happened."""
    progress = view.progress
    if progress is None:
        return ""
    if progress.rollout.id != rollout:
        return f"it waits for {progress.rollout.id} to end"
    step = step_words(progress.rollout.current) if progress.rollout.current else "done"
    fleets = ", ".join(f"{f.slot.place} r{f.release} {f.ready}/{f.size} ready {weights(view, f)}" for f in view.fleets)
    trouble = f"; {progress.error}" if progress.error else ""
    assessment = progress.rollout.assessment
    measuring = isinstance(progress.rollout.current, Analyse) and comparison(progress.rollout) is not None
    shown = f" ({verdict_name(assessment.verdict)})" if assessment and measuring else ""
    return f"{step}{shown}: {fleets}{trouble}"


def weights(view: ServiceView, fleet: Fleet) -> str:
    """Return the share of the traffic that the gateways of its region report: ``100 %``; ``0-100 %`` where they differ."""
    found = sorted({_weight(g, fleet) for g in _gateways(view, fleet) if g.answered})
    if not found:
        return "? %"
    low, high = found[0] / 100, found[-1] / 100
    return f"{high:g} %" if low == high else f"{low:g}-{high:g} %"


def _gateways(view: ServiceView, fleet: Fleet) -> list[GatewaySeen]:
    return [g for g in view.gateways if g.region == fleet.slot.region]


def _weight(gateway: GatewaySeen, fleet: Fleet) -> int:
    route, colour = gateway.route, fleet.slot.colour
    here = route is not None and route.release(colour) == fleet.release
    return route.carries(colour, baseline=fleet.slot.baseline) if route and here else 0


def _head(view: ServiceView) -> Text:
    line = Text.assemble((view.service, "bold"), f"  {view.environment}  ")
    line.append(view.state, style=_STATES.get(view.state, ""))
    if view.stable is not None:
        line.append(f"  {view.stable.name} {view.stable.version}".rstrip())
    return line


def _address_lines(view: ServiceView) -> list[Text]:
    lines = [Text.assemble("  ", (view.urls.live, "underline"))]
    if view.urls.own:
        lines[0].append(f"  or {view.urls.own}", style="dim")
    if any(g.route is not None and g.route.preview for g in view.gateways):
        lines.append(Text(f"  {view.urls.preview}", style="dim"))
    return lines


def _fleet_line(view: ServiceView, fleet: Fleet) -> Text:
    colour = "bright_blue" if fleet.slot.colour is Colour.BLUE else "bright_green"
    share = max((_weight(g, fleet) for g in _gateways(view, fleet) if g.answered), default=0)
    filled = round(_BAR * share / WHOLE) or (1 if share else 0)
    line = Text.assemble(
        "  ", ("○ " if fleet.slot.baseline else "● ", colour), (f"{fleet.slot.colour:<6}", colour), f"r{fleet.release:<4}"
    )
    line.append("█" * filled, style=colour)
    line.append("░" * (_BAR - filled), style="dim")
    line.append(f" {weights(view, fleet):>5}", style="bold")
    line.append(f"  {fleet.ready}/{fleet.size} ready")
    if len({f.slot.region for f in view.fleets}) > 1:
        line.append(f"  {fleet.slot.region}", style="dim")
    if fleet.slot.baseline:
        line.append("  baseline", style="italic")
    elif any(g.route and g.route.preview is fleet.slot.colour and not _weight(g, fleet) for g in _gateways(view, fleet)):
        line.append("  preview", style="italic")
    return line


def _instance_line(instance: Instance, now: datetime) -> Text:
    line = Text.assemble(f"      {instance.name:<26} ", (instance_words(instance), _INSTANCE[instance.state]))
    line.append(f"  {ago(instance.since, now)}  {instance.isolation}", style="dim")
    return line


def _silent_line(gateway: GatewaySeen) -> Text:
    return Text(f"  the gateway {gateway.gateway} does not answer: what it routes is unknown", style="red")


def _last_line(view: ServiceView) -> Text:
    last = view.history[0]
    words = outcome_words(last.outcome) if last.outcome else "under way"
    when = f" {ago(last.settled, view.at)} ago" if last.settled else ""
    return Text(f"  last: {last.target.name} {words}{when}", style="dim")


def _rollout_head(rollout: Rollout, now: datetime) -> Text:
    line = Text.assemble("  rollout ", (rollout.id, "bold"), "  ")
    if rollout.stable is not None:
        line.append(f"{rollout.stable.name} → ")
    line.append(f"{rollout.target.name} {rollout.target.version}".rstrip(), style="bold")
    line.append(f"  by {rollout.by}, {ago(rollout.started, now)}", style="dim")
    if rollout.outcome is not None or rollout.retreat is not None:
        going = rollout.outcome is None
        outcome = rollout.outcome or rollout.retreat
        good = isinstance(outcome, Promoted)
        label = f"  {'going back: ' if going else ''}{outcome_words(outcome) if outcome else ''}"
        line.append(label, style="green" if good else "red")
    return line


def _steps_line(rollout: Rollout) -> Text:
    """All steps in a line, for the compact view: ``✔✔▸··  switch to 100 %``."""
    count = len(rollout.steps)
    done = min(rollout.step, count)
    line = Text.assemble("  ", ("✔" * done, "green"), ("▸" if done < count else "", "yellow"), "·" * (count - done - 1))
    line.append(f"  {step_words(rollout.current) if rollout.current else 'every step is done'}")
    return line


def _step_line(rollout: Rollout, index: int, now: datetime) -> Text:
    words = step_words(rollout.steps[index])
    if index < rollout.step:
        return Text.assemble(("    ✔ ", "green"), (words, "dim"))
    if index > rollout.step or rollout.retreat is not None:
        return Text.assemble("    · ", (words, "dim"))
    line = Text.assemble(("    ▸ ", "yellow"), (words, "bold"))
    left = time_left(rollout, now)
    line.append(f"  {left}" if left else "", style="dim")
    return line


def time_left(rollout: Rollout, now: datetime) -> str:
    """Return how long the present step may still take, and what happens then; empty where there is no limit."""
    if rollout.paused_since is not None:
        return f"paused by {rollout.paused_by}, {ago(rollout.paused_since, now)}"
    spent = now - rollout.since
    match rollout.current:
        case StartFleet() | OpenPreview() | SetWeight() | OpenCohort() | SetMirror():
            return f"{_left(rollout.strategy.progress_deadline, spent)} until it is rolled back"
        case Analyse():
            return _left_to_measure(rollout, rollout.current, now)
        case Stay(duration):
            return f"{_left(duration, spent)} until it goes on"
        case Learn(duration):
            return f"{_left(duration, now - rollout.started)} until it goes on"
        case Judge(auto_after=after) if after is not None:
            return f"{_left(after, spent)} until it goes on by itself"
        case Judge(within=within) if within is not None:
            return f"{_left(within, spent)} to answer, then it is rolled back"
        case Judge() if isinstance(rollout.strategy, Canary):
            return f"{_left(rollout.strategy.patience, spent)} until it counts as abandoned"
        case KeepWarm(duration) if rollout.retreat is None:
            return f"{_left(duration, spent)} of instant rollback left"
    return ""


def _left_to_measure(rollout: Rollout, step: Analyse, now: datetime) -> str:
    """Time in which nothing could be learned does not count, and the clock stands still while that lasts."""
    assessment = rollout.assessment if rollout.assessment and rollout.assessment.step == rollout.step else None
    if assessment and isinstance(assessment.verdict, Inconclusive) and assessment.verdict.cause in HOLDING:
        return f"the clock stands still, for {lasting(assessment.held)} by now"
    left = deadline(rollout, step) - now
    if left <= timedelta() and step.otherwise is Unsure.ASK and isinstance(rollout.strategy, Canary):
        return f"{_left(rollout.strategy.patience, -left)} until it counts as abandoned"
    then = "a person is asked" if step.otherwise is Unsure.ASK else "it is rolled back"
    given_back = f", {lasting(assessment.held)} given back" if assessment and assessment.held else ""
    return f"{lasting(left)} until {then}{given_back}"


def measured_lines(rollout: Rollout) -> list[Text]:
    """Return what the traffic has shown of a release that is being measured: a small table, and the verdict."""
    assessment, stable, asked = rollout.assessment, rollout.stable, comparison(rollout)
    if assessment is None or stable is None or asked is None:
        return []
    lines = []
    if assessment.readings:
        heads = f"{rollout.target.name:>9}{stable.name:>9}  {'against it':<{_EVIDENCE}}  for it"
        lines.append(Text(f"      {'':<{_METRIC}}{heads}", style="dim"))
    lines += [_reading_line(reading) for reading in assessment.readings]
    requests = counted(assessment.requests, "request")
    counts = f"{requests} to {rollout.target.name}, {assessment.compared:,} to {asked.baseline_name}"
    lines.append(Text(f"      {counts}, {figure(assessment.rate, '')} a second of late", style="dim"))
    for signals in assessment.signals:
        lines += [Text(f"      {part}", style="dim") for part in wrap(signals_words(signals), _SENTENCE)]
    style = _VERDICTS[type(assessment.verdict)]
    lines += [Text(f"      {part}", style=style) for part in wrap(verdict_words(assessment), _SENTENCE)]
    return lines


def _reading_line(reading: Reading) -> Text:
    name = reading.metric if len(reading.metric) < _METRIC else reading.metric[: _METRIC - 2] + "…"
    line = Text(f"      {name:<{_METRIC}}{figure(reading.canary, reading.unit):>9}")
    line.append(f"{figure(reading.baseline, reading.unit):>9}  ", style="dim")
    line.append_text(_evidence(reading.worse, reading.worse_at, "red"))
    if not counts_strikes(reading):
        line.append("  ")
        line.append_text(_evidence(reading.fine, reading.fine_at, "green"))
    return line


def _evidence(has: float, enough: float, style: str) -> Text:
    """Return how much of the evidence that is enough is there: ``███░░░ 2.3 of 4.6``."""
    filled = int(_GAUGE * min(max(has / enough if enough > 0 else 1.0, 0.0), 1.0))
    line = Text.assemble(("█" * filled, style), ("░" * (_GAUGE - filled), "dim"), f" {tally(has, enough)}")
    line.pad_right(max(_EVIDENCE - len(line.plain), 0))
    return line


def _left(limit: timedelta, spent: timedelta) -> str:
    return lasting(max(limit - spent, timedelta()))


def _why_lines(view: ServiceView) -> list[Text]:
    progress = view.progress
    if progress is None:
        return []
    lines = []
    decision = progress.decision
    if decision is not None:
        words = decision.why if isinstance(decision, Wait) else f"{decision_words(decision)}: {decision.why}"
        lines.append(Text.assemble(("    why ", "dim"), words))
        until = decision.until if isinstance(decision, Wait | AskHuman) else None
        if until is not None and until > view.at:
            lines[-1].append(f" ({lasting(until - view.at)} left)", style="dim")
    if progress.error:
        lines.append(Text(f"    cannot yet: {progress.error}", style="red"))
    if progress.rollout.successor is not None:
        lines.append(Text(f"    r{progress.rollout.successor} waits for it to end", style="dim"))
    return lines


def summary_line(view: ServiceView) -> str:
    """Return a service in one line that changes only when something happened."""
    head = f"{view.service} {view.state}"
    if view.progress is not None:
        rollout = view.progress.rollout
        outcome = f" {outcome_words(rollout.outcome)}," if rollout.outcome else ""
        return f"{head}: {rollout.id}{outcome} {progress_line(view, rollout.id)}"
    if view.removing is not None:
        return f"{head}: {removing_words(view.removing)}"
    fleets = ", ".join(f"{f.slot.place} r{f.release} {f.ready}/{f.size} ready {weights(view, f)}" for f in view.fleets)
    return f"{head}: {fleets or 'no fleet'}"
