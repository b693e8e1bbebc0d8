"""Which images stay, how two of them differ, and how long a fix may wait."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleen.domain.base import HOST, SCRATCH, Locked
from bleen.domain.codec import digest_of
from bleen.domain.difference import Contents, difference
from bleen.domain.image import File, Image
from bleen.domain.keeping import WINDOW, keeping
from bleen.domain.patching import Fix, Patching, age_words, patching_words
from bleen.domain.release import Release, Runtime

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def image(number: int, name: str = "hello", base: str = HOST) -> Image:
    return Image(digest_of(number), name, f"{number}", f"2026-01-01T00:00:00.{number:06}Z", 1, 1, base)


def release(number: int, made_of: Image) -> Release:
    runtime = Runtime(command=("hello",))
    return Release("hello", number, "1", made_of.digest, runtime, digest_of(0), NOW, "ada")


def locked(name: str, version: str = "1.0") -> Locked:
    return Locked(name, version, "all", name, "bookworm", f"{name}.deb", 1, digest_of(name))


def reasons(*kept: object) -> dict[str, str]:
    return {one.image.version: one.why for one in kept}  # type: ignore[attr-defined]


def test_what_runs_and_what_could_be_gone_back_to_stays() -> None:
    """A fleet's image, those of the last releases, and the newest of a name; older ones are free."""
    images = [image(n) for n in range(WINDOW + 3)]
    releases = [release(n, images[n]) for n in reversed(range(WINDOW + 3))]
    found = reasons(*keeping(images, {"hello": releases}, {images[0].digest: "hello"}))
    assert found["0"] == "runs as hello"
    assert found["1"] == found["2"] == ""
    assert found["3"] == "hello can go back to r3"
    assert "" not in [found[str(n)] for n in range(3, WINDOW + 3)]


def test_nobody_goes_back_to_a_service_that_was_removed() -> None:
    """What it was is free, but for its newest image and what runs."""
    images = [image(n) for n in range(3)]
    releases = [release(n, images[n]) for n in reversed(range(3))]
    found = reasons(*keeping(images, {"hello": releases}, {images[0].digest: "hello"}, {"hello"}))
    assert found == {"0": "runs as hello", "1": "", "2": "is the newest image of hello"}


def test_a_base_stays_while_what_stands_on_it_does() -> None:
    """And goes with it; the newest base of a name stays for the next build."""
    bases = [image(n, "debian", SCRATCH) for n in (1, 2, 3)]
    app = image(4, base=bases[0].digest)
    found = reasons(*keeping([*bases, app], {"hello": [release(1, app)]}, {}))
    assert found["1"] == "is the base of hello 4"
    assert found["2"] == ""
    assert found["3"] == "is the newest image of debian"


@given(
    st.lists(st.integers(0, 30), unique=True), st.lists(st.integers(0, 30)), st.lists(st.integers(0, 30)), st.integers(1, 30)
)
def test_nothing_that_is_needed_is_ever_free(made: list[int], released: list[int], running: list[int], step: int) -> None:
    """Whatever is built, released and running: what runs, what a late release is made of, and their bases stay."""
    bases = {n: image(100 + n % step, "base", SCRATCH) for n in made}
    images = [image(n, f"app-{n % 3}", bases[n].digest) for n in made]
    by_number = dict(zip(made, images, strict=True))
    releases = [release(i, by_number[n]) for i, n in enumerate(released) if n in by_number][::-1]
    runs = {by_number[n].digest: "hello" for n in running if n in by_number}
    everything = list({one.digest: one for one in [*images, *bases.values()]}.values())
    free = {one.image.digest for one in keeping(everything, {"hello": releases}, runs) if not one.why}
    needed = {*runs, *(one.image for one in releases[:WINDOW])}
    assert not free & needed
    assert not free & {one.base for one in images if one.digest not in free}


def test_the_difference_names_packages_files_and_what_moves() -> None:
    """A file that only moved to another place does not move over the wire."""
    before = Contents((_file("a", "1", 10), _file("b", "2", 20), _file("c", "3", 30)), (locked("x"), locked("y"), locked("z")))
    after = Contents(
        (_file("a", "1", 10), _file("b", "4", 40), _file("d", "3", 30)), (locked("x"), locked("y", "2.0"), locked("w"))
    )
    found = difference(before, after)
    assert [p.name for p in found.added] == ["w"] and [p.name for p in found.removed] == ["z"]
    assert [(c.name, c.before, c.after) for c in found.changed] == [("y", "1.0", "2.0")]
    assert (found.files_added, found.files_removed, found.files_changed) == (("d",), ("c",), ("b",))
    assert (found.moved, found.size_before, found.size_after) == (40, 60, 80)
    assert difference(before, before).empty and not found.empty


def _file(path: str, text: str, size: int) -> File:
    return File(path=path, digest=digest_of(text), size=size)


def fix(hours: float, name: str = "libc6") -> Fix:
    return Fix(name, name, "1", "2", NOW - timedelta(hours=hours))


@pytest.mark.parametrize(
    ("patching", "words"),
    [
        (Patching(HOST), "host-based: the machine's own updates count"),
        (Patching("sha256:x", NOW, None, trouble="the mirror is away"), "not checked: the mirror is away"),
        (Patching("sha256:x", NOW, NOW), "nothing is pending"),
        (Patching("sha256:x", NOW, NOW, (fix(2),)), "1 fix pending, 46 h left"),
        (Patching("sha256:x", NOW, NOW, (fix(2), fix(47, "b"))), "2 fixes pending, 1 h left"),
        (Patching("sha256:x", NOW, NOW, (fix(60), fix(2, "b"))), "2 fixes pending, overdue by 12 h"),
        (Patching("sha256:x", NOW, NOW, (fix(24 * 30),)), "1 fix pending, overdue by 28 d"),
    ],
)
def test_the_oldest_fix_says_how_long_is_left(patching: Patching, words: str) -> None:
    """48 hours from its publication; what was not checked is never well."""
    assert patching_words(patching, NOW) == words


def test_the_age_of_patches_is_that_of_the_signed_suite() -> None:
    """Of the machine's own nobody knows."""
    assert age_words(Patching("sha256:x", NOW - timedelta(hours=45)), NOW) == "45 h"
    assert age_words(Patching("sha256:x", NOW - timedelta(days=9)), NOW) == "9 d"
    assert age_words(Patching(HOST), NOW) == "-"
