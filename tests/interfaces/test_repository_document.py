"""YAML as people write it, and as they should not."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bleen.domain.service import Service
from bleen.interfaces.repository.document import DEEPEST, LARGEST, parse_document, plain_value, read_document
from bleen.interfaces.repository.problem import render
from bleen.interfaces.repository.shape import mismatches

# What is written; the line of the problem; words of what is said; words of what to write.
BROKEN = {
    "a tab": (b"a: 1\nb:\n\tc: 2\n", 3, "tab", "spaces"),
    "a second colon": (b"a: 1\nb: c: d\n", 2, "colon", "quotes"),
    "a key too far right": (b"a: 1\n  b: 2\n", 2, "no key may stand here", "same number of spaces"),
    "no space after the colon": (b"a: 1\nkey:value\n", 2, "without a colon and a space", "key: value"),
    "a bracket left open": (b"a: 1\nb: [x, y\nc: 2\n", 2, "bracket", "[a, b]"),
    "a quote left open": (b'a: 1\nb: "x\nc: 2\n', 2, "never closed", "closing quote"),
    "text behind a quote": (b"a: 'it's'\n", 1, "only a new key may", "quotes"),
    "a bare placeholder in a list": (b"a: 1\nc: [python, {app}/x.py]\n", 2, "`{app}` must be in quotes", '"{app}"'),
    "a bare placeholder in an item": (b"c:\n  - {app}/x.py\n", 2, "`{app}` must be in quotes", '"{app}"'),
    "a character with a meaning": (b"a: @x\n", 1, "begins with a character", "quotes"),
    "an unknown escape": (b'a: "\\q"\n', 1, "unknown escape", "single quotes"),
    "a control character": (b"a: 1\nb: \x07\n", 2, "cannot be seen", "by hand"),
    "a list that loses its dash": (b"a:\n  - b\n  c: d\n", 3, "a line without a dash", "- item"),
    "a key written twice": (b"a: 1\nb: 2\na: 3\n", 3, "`a` is written twice", "one of the two"),
    "an anchor": (b"a: &x 1\n", 1, "anchor", "the value itself"),
    "a tag": (b"a: !!python/object:os.system x\n", 1, "tag", "without it"),
    "a second document": (b"a: 1\n---\nb: 1\n", 2, "second document", "one file for each"),
    "a list as a key": (b"? [a]\n: b\n", 1, "where a key must", ""),
    "depth": (b"a: " + b"[" * 10_000, 1, "nested too deeply", ""),
    "another encoding": ("a: 1\nb: é\n".encode("latin-1"), 2, "not UTF-8", "UTF-8"),
    "nothing": (b"", 0, "empty", "bleen init"),
    "comments alone": (b"# soon\n\n", 0, "empty", "bleen init"),
    "too much": (b"a: 1\n" + b"#" * LARGEST, 0, "larger than 1024 KiB", ""),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_at_its_line_in_plain_words(name: str) -> None:
    """Each slip has its line, what it is, and what to write; none is answered in the parser's jargon."""
    data, line, what, instead = BROKEN[name]
    problem, *_ = parse_document(data, "service.yaml").problems
    assert (problem.line, problem.file) == (line, "service.yaml")
    assert what in problem.what
    assert instead in problem.instead
    for jargon in ("token", "block mapping", "flow", "scanning", "parsing"):
        assert jargon not in render(problem)


def test_a_bomb_of_anchors_is_refused_before_it_grows() -> None:
    """Nine lines that would be a billion values are nine lines of problems."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    document = parse_document("\n".join(lines).encode(), "f")
    assert {p.line for p in document.problems} == set(range(1, 10))


def test_scalars_are_read_as_yaml_1_2_reads_them() -> None:
    """Norway is a country, 012 is twelve, and 1:30 is no number of seconds."""
    text = b"a: no\nb: 012\nc: 1:30\nd: 2024-01-01\ne: true\nf: 1.5\ng: ~\nh: '1'\ni: 0x10\nj: -3\n"
    root = parse_document(text, "f").root
    assert root is not None
    assert plain_value(root) == {
        "a": "no", "b": 12, "c": "1:30", "d": "2024-01-01", "e": True, "f": 1.5, "g": None, "h": "1", "i": 16, "j": -3,
    }  # fmt: skip


def test_windows_line_ends_and_a_byte_order_mark_are_no_problem() -> None:
    """The file of an editor on Windows is the same file."""
    root = parse_document(b"\xef\xbb\xbfa: 1\r\nb: [x]\r\n", "f").root
    assert root is not None
    assert plain_value(root) == {"a": 1, "b": ["x"]}


def test_as_deep_as_allowed_is_allowed() -> None:
    """The limit refuses what is beyond it, and not what is at it."""
    assert not parse_document(b"[" * DEEPEST + b"]" * DEEPEST, "f").problems


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """A folder in the place of a file is a problem, not a traceback."""
    problem, *_ = read_document(tmp_path).problems
    assert "cannot be read: is a directory" in problem.what


_PIECES = st.sampled_from(
    ["a", ":", " ", "\n", "  ", "-", "- ", "[", "]", "{", "}", ",", "'", '"', "#", "&x", "*x", "!", "|",
     ">", "?", "%", "@", "\t", "---\n",
     "...", "0x1", "1e9", "\\", "\r", "\x85", "é", "\x00", "<<", "{port}", "~", ".nan", "012"]
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(_PIECES, max_size=25).map("".join).map(str.encode) | st.binary(max_size=40))
def test_any_bytes_are_either_read_or_explained(data: bytes) -> None:
    """Nothing that a file can hold is a traceback, and nothing is silently no file."""
    document = parse_document(data, "f")
    assert document.root is not None or document.problems
    for problem in document.problems:
        assert problem.what
        assert 0 <= problem.line <= max(1, len(data.decode("utf-8-sig", errors="replace").splitlines()))
    mismatches(document, Service)
