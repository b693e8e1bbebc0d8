"""Logs: what instances wrote, when it was seen, and no more of it than fits."""

import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bleen.providers.local.logs import Log, prune

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def write(log: Log, text: str) -> None:
    with log.path.open("a") as file:
        file.write(text)


def test_a_line_has_the_time_of_the_look_that_found_it(tmp_path: Path) -> None:
    """Lines of one look share a time; later looks have later ones."""
    log = Log(tmp_path, "a")
    for second, text in enumerate(("one\ntwo\n", "three\n", "fo", "ur\n")):
        write(log, text)
        log.look(NOON + timedelta(seconds=second))
    assert [(line.text, (line.at - NOON).seconds) for line in log.read(10)] == [
        ("one", 0),
        ("two", 0),
        ("three", 1),
        ("four", 2),
    ]


def test_a_log_that_is_too_large_becomes_the_older_one(tmp_path: Path) -> None:
    """One older file is kept; the writer goes on in the same one, and the last lines are found over both."""
    log = Log(tmp_path, "a", max_bytes=100)
    with log.path.open("a") as file:
        for number in range(60):
            file.write(f"line {number}\n")
            file.flush()
            log.look(NOON + timedelta(seconds=number))
    assert log.size() + log.older.stat().st_size < 250
    lines = log.read(12)
    assert [line.text for line in lines] == [f"line {number}" for number in range(48, 60)]
    assert [(line.at - NOON).seconds for line in lines] == list(range(48, 60))


def test_old_logs_of_instances_that_are_gone_are_removed(tmp_path: Path) -> None:
    """Recent ones stay for who asks why a release failed; quiet instances keep theirs."""
    for name in ("a-blue-r1-1", "a-blue-r1-2", "a-blue-r2-1", "agent"):
        write(Log(tmp_path, name), "words\n")
        Log(tmp_path, name).look(NOON)
    for name in ("a-blue-r1-1", "a-blue-r1-2", "agent"):
        os.utime(tmp_path / f"{name}.log", (0, 0))
    prune(tmp_path, {"a-blue-r1-2"})
    assert sorted(path.name for path in tmp_path.glob("*.log")) == ["a-blue-r1-2.log", "a-blue-r2-1.log", "agent.log"]
    assert len(list(tmp_path.glob(".*.times"))) == 3


def test_following_gives_whole_lines_once(tmp_path: Path) -> None:
    """A line that is not ended yet waits."""
    log = Log(tmp_path, "a")
    write(log, "one\ntw")
    offset = log.end()
    assert [line.text for line in log.read(1, until=offset)] == ["one"]
    assert [line.text for line in log.read(1)] == ["tw"]
    write(log, "o\nthree\n")
    lines, offset = log.after(offset)
    assert [line.text for line in lines] == ["two", "three"]
    assert log.after(offset) == ([], offset)


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"))),
    st.integers(0, 12),
)
def test_the_tail_is_the_end_of_what_was_written(lines: list[str], count: int) -> None:
    """For any lines and any count."""
    with tempfile.TemporaryDirectory() as folder:
        log = Log(Path(folder), "a")
        log.path.write_bytes("".join(f"{line}\n" for line in lines).encode())
        assert log.tail(count) == (lines[-count:] if count else [])


def test_bytes_that_are_no_text_are_shown_all_the_same(tmp_path: Path) -> None:
    """A log is what the instance wrote, whatever that is."""
    log = Log(tmp_path, "a")
    log.path.write_bytes(b"\xff\xfe\n")
    assert log.tail(1) == ["\ufffd\ufffd"]
