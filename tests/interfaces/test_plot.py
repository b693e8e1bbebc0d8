"""The picture of a rollout: what is drawn, into what, and what is said where it cannot be."""

import sys
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
from msgspec import structs

from bleen.domain.errors import InvalidInput, NotFound, StorageFull
from bleen.domain.ledger import Entry, Measured
from bleen.domain.rollout import RolledBack
from bleen.domain.verdict import Cause, Inconclusive
from bleen.interfaces.plot import check_plot, course_of, draw, write_plot
from tests.interfaces.conftest import Bleen
from tests.interfaces.measured import NOW, assessment, explanation, story

SVG = "{http://www.w3.org/2000/svg}"


def words_of(path: Path) -> list[str]:
    """Return every text in an SVG."""
    return ["".join(text.itertext()) for text in ElementTree.parse(path).iter(f"{SVG}text")]


def test_an_svg_names_releases_metrics_and_decisions(tmp_path: Path) -> None:
    """As text, so that it can be searched and read aloud."""
    path = tmp_path / "rollout.svg"
    write_plot(explanation(story(bad=False)), path)
    words = words_of(path)
    for word in ("r1", "r2", "errors", "latency", "queue", "10 %", "50 %", "100 %", "paused by ada", "promoted"):
        assert word in words
    assert any("dev/shop/2" in word for word in words)
    assert "minutes since it began, 2026-01-01 12:00 UTC" in words


def test_a_rollback_is_drawn_with_its_reason(tmp_path: Path) -> None:
    """The sentence that the traffic said stands below the title."""
    path = tmp_path / "rollout.svg"
    write_plot(explanation(story()), path)
    words = words_of(path)
    assert "rolled back" in words
    assert any("5.2 % of its requests fail" in word for word in words)


def test_a_png_is_a_png(tmp_path: Path) -> None:
    """Whatever the case of its ending."""
    path = tmp_path / "rollout.PNG"
    write_plot(explanation(story()), path)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = (int.from_bytes(data[n : n + 4], "big") for n in (16, 20))
    assert width > 1000
    assert height > 1000


def test_the_same_rollout_is_the_same_picture(tmp_path: Path) -> None:
    """It depends on the ledger and on nothing else, the time of day included."""
    one, two = tmp_path / "1.svg", tmp_path / "2.svg"
    write_plot(explanation(story()), one)
    write_plot(explanation(story()), two)
    assert one.read_bytes() == two.read_bytes()


def test_a_rollout_without_measurements_has_its_weights_alone() -> None:
    """A blue-green one, or a canary that has just begun."""
    bare = [entry for entry in story() if not isinstance(entry.event, Measured)]
    assert len(draw(explanation(bare)).axes) == 1
    assert len(draw(explanation(bare[:1])).axes) == 1
    assert len(draw(explanation(story())).axes) == 5


def test_the_weights_are_those_that_were_decided() -> None:
    """The share of the new release, from each decision on."""
    course = course_of(explanation(story(bad=False)))
    assert [weight for _, weight in course.weights] == [0.0, 10.0, 50.0, 100.0]
    assert [label for _, label in course.marks] == ["10 %", "50 %", "paused by ada", "resumed by ada", "100 %", "promoted"]
    back = course_of(explanation(story()))
    assert [weight for _, weight in back.weights] == [0.0, 10.0, 0.0]
    assert [label for _, label in back.marks] == ["10 %", "rolled back"]


def test_time_in_which_nothing_was_decided_is_marked() -> None:
    """From the first measurement that was held to the first that was not."""
    gone = Inconclusive(Cause.METRICS_GONE, "nobody counts requests")

    def held(entry: Entry) -> Entry:
        after = (entry.at - NOW) / timedelta(seconds=1)
        lost = isinstance(entry.event, Measured) and 100 <= after <= 160
        return structs.replace(entry, event=Measured(assessment(gone, at=entry.at))) if lost else entry

    ((began, ended),) = course_of(explanation([held(entry) for entry in story()])).held
    assert (began, ended) == (100.0, 175.0)


@pytest.mark.filterwarnings("error")
def test_names_that_mathematics_would_read_are_drawn_as_they_are(tmp_path: Path) -> None:
    """A version is text, whatever signs it has."""
    explained = explanation(story())
    odd = structs.replace(explained.rollout.target, version="$x_1$ \\frac & <b> \u7248")
    path = tmp_path / "odd.svg"
    write_plot(structs.replace(explained, rollout=structs.replace(explained.rollout, target=odd)), path)
    assert any("$x_1$ \\frac & <b>" in word for word in words_of(path))


def test_a_long_reason_is_wrapped_and_cut(tmp_path: Path) -> None:
    """Two lines below the title, and the panels begin below them."""
    explained = explanation(story())
    long = structs.replace(explained.rollout, outcome=RolledBack("its instances crashed, " * 40))
    path = tmp_path / "long.svg"
    write_plot(structs.replace(explained, rollout=long), path)
    lines = [word for word in words_of(path) if "its instances crashed" in word]
    assert len(lines) == 2
    assert lines[1].endswith("…")
    assert max(map(len, lines)) <= 110


@pytest.mark.parametrize("name", ["rollout.pdf", "rollout", "rollout.svg.txt"])
def test_another_kind_of_file_is_refused_before_anything_is_asked(bleen: Bleen, tmp_path: Path, name: str) -> None:
    """The message says which endings there are, and what to type."""
    typed = bleen("explain", "hello", "--plot", str(tmp_path / name))
    assert typed.code == 2
    assert "neither an .svg nor a .png" in typed.err
    assert "--plot rollout" in typed.err


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra, and its absence no traceback."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(NotFound) as told:
        check_plot(Path("x.svg"))
    assert told.value.next == "pip install 'bleen[plot]'"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """And nothing is written elsewhere."""
    with pytest.raises(StorageFull, match="cannot be written"):
        write_plot(explanation(story()), tmp_path / "nowhere" / "x.svg")
    with pytest.raises(InvalidInput):
        write_plot(explanation(story()), tmp_path / "x.gif")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("estate", "repository")
def test_the_command_draws_a_rollout(bleen: Bleen, tmp_path: Path) -> None:
    """And says where."""
    bleen("deploy", "hello")
    path = tmp_path / "hello.svg"
    assert str(path) in bleen("explain", "hello", "--plot", str(path)).out.replace("\n", "")
    assert any("dev/hello/1" in word for word in words_of(path))
    assert bleen("explain", "hello", "--plot", str(path), "--json").json == {"rollout": "dev/hello/1", "plot": str(path)}
