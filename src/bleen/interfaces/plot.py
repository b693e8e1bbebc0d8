"""A rollout as a picture: weights, errors, latency and evidence over time, with the decisions. Drawn from the ledger alone.

matplotlib is imported only here, and only when a picture is asked for: it is the extra ``bleen[plot]``.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from bleen.domain.command import Abort, Advance, Command, GoBack, Pause, Resume
from bleen.domain.decision import Shift
from bleen.domain.errors import InvalidInput, NotFound, StorageFull
from bleen.domain.ledger import Commanded, Decided, Event, Measured, RolloutStarted, Settled
from bleen.domain.traffic import Colour
from bleen.domain.verdict import HOLDING, Assessment, Inconclusive, Reading
from bleen.interfaces.verdicts import counts_strikes
from bleen.interfaces.views import Explanation
from bleen.interfaces.words import outcome_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = (".svg", ".png")
_NEW, _OLD, _AGAINST, _FOR, _INK, _FAINT = "#1d4ed8", "#9a6b1f", "#b91c1c", "#047857", "#1f2937", "#d1d5db"
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (5, 2, 1.5, 2)))
_STYLE = {
    "font.size": 9.0,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "text.color": _INK,
    # What programs and people wrote is text, and no mathematics; in an SVG it can be searched.
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "bleen",
}
_WIDTH, _LABEL = 9.6, 0.0105
"""Inches; and the part of the width that a letter of a label takes."""


@dataclass(frozen=True)
class Course:
    """What is drawn of a rollout. Times are seconds since it began."""

    new: str
    old: str
    weights: Sequence[tuple[float, float]]
    """The share of the traffic in percent, from each time on."""
    marks: Sequence[tuple[float, str]]
    measured: Sequence[tuple[float, Assessment]]
    end: float

    def series(self, name: str, value: Callable[[Reading], float | None]) -> tuple[list[float], list[float]]:
        """Return times and ``value`` of the readings of one metric, where it is known."""
        found = [(after, value(r)) for after, a in self.measured for r in a.readings if r.metric == name]
        known = [(after, v) for after, v in found if v is not None]
        return [after for after, _ in known], [v for _, v in known]

    @property
    def metrics(self) -> list[str]:
        """The names of all metrics, in the order of their readings."""
        return list(dict.fromkeys(r.metric for _, a in self.measured for r in a.readings))

    @property
    def held(self) -> list[tuple[float, float]]:
        """From when to when nothing was decided."""
        spans, began = [], None
        for after, assessment in self.measured:
            holding = isinstance(assessment.verdict, Inconclusive) and assessment.verdict.cause in HOLDING
            if holding and began is None:
                began = after
            elif not holding and began is not None:
                spans.append((began, after))
                began = None
        return spans if began is None else [*spans, (began, self.end)]


def check_plot(path: Path) -> None:
    """Refuse a file that cannot become a picture: InvalidInput; NotFound where the extra is not installed."""
    if path.suffix.lower() not in KINDS:
        why = f"{path.suffix} is no kind of picture that is drawn here" if path.suffix else "its ending says what is drawn"
        raise InvalidInput(f"{str(path)!r} is neither an .svg nor a .png", why=why, next=f"--plot {path.stem or 'rollout'}.svg")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        why = f"pictures are drawn by matplotlib, which is an extra ({error})"
        raise NotFound("nothing is installed that draws", why=why, next="pip install 'bleen[plot]'") from error


def write_plot(explained: Explanation, path: Path) -> None:
    """Draw a rollout into ``path``, an SVG or a PNG by its ending; InvalidInput, NotFound, StorageFull."""
    check_plot(path)
    from matplotlib import rc_context

    # A sign that the font lacks is drawn as a box, and no reason to write a warning into a terminal.
    with rc_context(_STYLE), warnings.catch_warnings(action="ignore", category=UserWarning):  # type: ignore[arg-type]
        figure = draw(explained)
        undated = {"Date": None} if path.suffix.lower() == ".svg" else None
        try:
            figure.savefig(path, dpi=150, facecolor="white", metadata=undated)
        except OSError as error:
            raise StorageFull(
                f"{path} cannot be written", why=error.strerror or str(error), next="--plot FILE in another folder"
            ) from error


def draw(explained: Explanation) -> "Figure":
    """Return the figure of a rollout: panels above each other on one axis of time."""
    from matplotlib.figure import Figure

    course = course_of(explained)
    panels = _panels(course)
    rows, heights = _rows(course), [1.0, *(1.25 for _ in panels[1:])]
    said = _sentence(explained)
    head = 0.58 + 0.17 * len(said) + 0.2 * (max((row for row, _ in rows), default=0) + 1)
    size = head + 0.6 + 1.2 * sum(heights)
    figure = Figure(figsize=(_WIDTH, size))
    grid = figure.add_gridspec(
        len(panels), 1, height_ratios=heights, hspace=0.42, left=0.075, right=0.865, top=1 - head / size, bottom=0.5 / size
    )
    unit, seconds = _unit(course.end)
    first: Axes | None = None
    for number, panel in enumerate(panels):
        axes = figure.add_subplot(grid[number], sharex=first)
        first = first or axes
        panel(axes, course, seconds)
        _dress(axes, course, seconds, last=number == len(panels) - 1)
    assert first is not None, "there is always a panel of weights"
    _mark(first, course, rows, seconds)
    axes.set_xlabel(f"{unit} since it began, {explained.rollout.started:%Y-%m-%d %H:%M} UTC")
    _title(figure, explained, said, size)
    return figure


def course_of(explained: Explanation) -> Course:
    """Return what is to be drawn of ``explained``."""
    colour = next((e.rollout.target_colour for e in _events(explained, RolloutStarted)), Colour.BLUE)
    weights, marks = [(0.0, 0.0)], []
    measured, settled = [], 0.0
    for line in explained.lines:
        match line.event:
            case Decided(Shift(route)):
                weight = route.split.weight(colour) / 100
                if weight > weights[-1][1]:
                    marks.append((line.after, f"{weight:g} %"))
                weights.append((line.after, weight))
            case Commanded(command) if label := _asked(command):
                marks.append((line.after, label))
            case Settled(outcome):
                marks.append((line.after, outcome_words(outcome).partition(":")[0]))
                settled = line.after
            case Measured(assessment):
                measured.append((line.after, assessment))
            case _:
                pass
    last = max(settled, measured[-1][0] if measured else 0.0, weights[-1][0] if not settled else 0.0)
    source, target = explained.rollout.origin, explained.rollout.target
    return Course(target.name, source.name if source else "", weights, marks, measured, max(last * 1.02, 1.0))


def _events(explained: Explanation, kind: type[Any]) -> list[Any]:
    found: list[Event] = [line.event for line in explained.lines if isinstance(line.event, kind)]
    return found


def _asked(command: Command) -> str:
    match command:
        case Advance(by, full):
            return f"promoted{' at once' if full else ''} by {by}"
        case Pause(by) | Resume(by) | Abort(by) | GoBack(by):
            word = {Pause: "paused", Resume: "resumed", Abort: "aborted", GoBack: "sent back"}[type(command)]
            return f"{word} by {by}"
        case _:
            return ""


# ---- panels ----

_Panel = Callable[["Axes", Course, float], None]


def _panels(course: Course) -> list[_Panel]:
    found: list[_Panel] = [_weights]
    if "errors" in course.metrics:
        found.append(lambda axes, c, s: _both(axes, c, s, "errors", "failed requests, %"))
    if "latency" in course.metrics:
        found.append(lambda axes, c, s: _both(axes, c, s, "latency", "95th percentile of latency, ms"))
    if course.metrics:
        found += [_against, _for]
    return found


def _weights(axes: "Axes", course: Course, seconds: float) -> None:
    times = [after / seconds for after, _ in course.weights] + [course.end / seconds]
    shares = [share for _, share in course.weights]
    shares.append(shares[-1])
    axes.fill_between(times, shares, step="post", color=_NEW, alpha=0.14, linewidth=0)
    axes.step(times, shares, where="post", color=_NEW, linewidth=1.8)
    axes.set_title(f"share of the traffic to {course.new}, %")
    axes.set_ylim(0, 108)
    axes.set_yticks([0, 50, 100])
    _name(axes, course, [(shares[-1], course.new, _NEW)], seconds)


def _both(axes: "Axes", course: Course, seconds: float, metric: str, title: str) -> None:
    names = []
    highest = 0.0
    for label, colour, value in ((course.old, _OLD, _baseline), (course.new, _NEW, _canary)):
        times, values = course.series(metric, value)
        if values:
            axes.plot([t / seconds for t in times], values, color=colour, linewidth=1.6)
            names.append((values[-1], label, colour))
            highest = max(highest, *values)
    axes.set_title(title)
    axes.set_ylim(0, highest * 1.15 or 1.0)
    _name(axes, course, names, seconds)


def _against(axes: "Axes", course: Course, seconds: float) -> None:
    axes.set_title(f"evidence that {course.new} is too bad, % of what rolls it back")
    _evidence(axes, course, seconds, lambda r: r.worse / r.worse_at if r.worse_at > 0 else None, _AGAINST)


def _for(axes: "Axes", course: Course, seconds: float) -> None:
    axes.set_title(f"evidence that {course.new} is good enough, % of what a step asks for")
    _evidence(axes, course, seconds, _goodness, _FOR)


def _evidence(axes: "Axes", course: Course, seconds: float, part: Callable[[Reading], float | None], colour: str) -> None:
    """Draw ln of e-values as parts of their thresholds. Evidence for the contrary is none: it begins at 0."""
    names = []
    for number, metric in enumerate(course.metrics):
        times, parts = course.series(metric, part)
        shown = [100 * min(max(p, 0.0), 1.25) for p in parts]
        if shown:
            dashes = _DASHES[number % len(_DASHES)]
            axes.plot([t / seconds for t in times], shown, color=colour, linewidth=1.6, linestyle=dashes)
            names.append((shown[-1], metric, colour))
    axes.axhline(100, color=colour, linewidth=0.9, alpha=0.6)
    axes.set_ylim(0, 132)
    axes.set_yticks([0, 50, 100])
    _name(axes, course, names, seconds)


def _goodness(reading: Reading) -> float | None:
    return reading.fine / reading.fine_at if reading.fine_at > 0 and not counts_strikes(reading) else None


def _canary(reading: Reading) -> float | None:
    return reading.canary


def _baseline(reading: Reading) -> float | None:
    return reading.baseline


# ---- what all panels have ----


def _dress(axes: "Axes", course: Course, seconds: float, *, last: bool) -> None:
    """Add the axis of time, the decisions as vertical lines, and grey where nothing was decided."""
    axes.set_xlim(0, course.end / seconds)
    axes.tick_params(length=3, labelbottom=last)
    axes.grid(axis="y", color=_FAINT, linewidth=0.6, alpha=0.7)
    axes.set_axisbelow(True)
    for began, ended in course.held:
        axes.axvspan(began / seconds, ended / seconds, color="#6b7280", alpha=0.13, linewidth=0)
    for after, _ in course.marks:
        axes.axvline(after / seconds, color=_INK, linewidth=0.8, linestyle=(0, (2, 2)), alpha=0.55)


def _name(axes: "Axes", course: Course, names: Sequence[tuple[float, str, str]], seconds: float) -> None:
    """Write each name where its line ends, right of the panel, and none over another."""
    low, high = axes.get_ylim()
    apart, place = (high - low) * 0.16, low - (high - low)
    for value, name, colour in sorted(names, key=lambda named: named[0]):
        place = max(value, place + apart)
        axes.annotate(
            shorten_name(name),
            (course.end / seconds, place),
            xytext=(5, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            annotation_clip=False,
        )


def shorten_name(name: str, room: int = 16) -> str:
    """Return a name that has room, by default beside a panel."""
    return name if len(name) <= room else name[: room - 1] + "…"


def _rows(course: Course) -> list[tuple[int, tuple[float, str]]]:
    """Return the marks with the row of each label, from the panel upwards: as low as it does not meet another."""
    ends: list[float] = []
    placed = []
    for after, label in sorted(course.marks):
        left = after / course.end - _LABEL * len(label) / 2
        row = next((n for n, end in enumerate(ends) if end <= left), len(ends))
        ends[row : row + 1] = [left + _LABEL * (len(label) + 1)]
        placed.append((row, (after, label)))
    return placed


def _mark(axes: "Axes", course: Course, rows: Sequence[tuple[int, tuple[float, str]]], seconds: float) -> None:
    # The upper ones first: the lines that lead to them are then behind the labels below them.
    for row, (after, label) in sorted(rows, reverse=True):
        axes.annotate(
            label,
            (after / seconds, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 20 + 14 * row),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8.5,
            fontweight="bold",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
            arrowprops={"arrowstyle": "-", "color": _INK, "linewidth": 0.8, "linestyle": (0, (2, 2)), "alpha": 0.55},
            annotation_clip=False,
        )


def _unit(end: float) -> tuple[str, float]:
    if end <= 180:
        return "seconds", 1.0
    return ("minutes", 60.0) if end <= 3 * 3600 else ("hours", 3600.0)


def _sentence(explained: Explanation) -> list[str]:
    """Return the outcome with its reason, on two lines at most."""
    outcome = explained.rollout.outcome
    return wrap(outcome_words(outcome) if outcome else "under way", 110, max_lines=2, placeholder=" …")


def _title(figure: "Figure", explained: Explanation, said: Sequence[str], size: float) -> None:
    summary = explained.rollout
    source = f"{summary.origin.name} → " if summary.origin else ""
    named = f"{summary.id}   {source}{summary.target.name} {summary.target.version}".rstrip()
    figure.text(0.02, 1 - 0.12 / size, shorten_name(named, 80), fontsize=12.5, fontweight="bold", va="top")
    for number, line in enumerate(said):
        figure.text(0.02, 1 - (0.36 + 0.17 * number) / size, line, fontsize=9, va="top")
