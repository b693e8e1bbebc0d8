"""Signed notes: known ones of the field, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleen.domain.errors import InvalidInput
from bleen.domain.note import (
    Checkpoint,
    Verifier,
    open_note,
    read_checkpoint,
    read_secret,
    read_verifier,
    sign_note,
    write_proof,
    write_secret,
)
from bleen.providers.signing import make_key, public_of, sign, verify

GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
"""The key and the note of the tests of Go's golang.org/x/mod/sumdb/note."""
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_a_note_that_go_signed_is_opened() -> None:
    """Key id, signature and layout are those of other implementations."""
    verifier = read_verifier(GO_KEY)
    assert str(verifier) == GO_KEY
    assert open_note(GO_NOTE, verifier, verify).startswith("If you think")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("think", "thunk"),
        ("x08go", "x08gp"),
        ("PeterNeumann x", "EnochRoot x"),
        ("\u2014 ", "- "),
        ("\n\n", "\n"),
        ("BwJnAM=", "BwJnAM"),
        ("your", "yo\tur"),
    ],
)
def test_a_note_that_was_changed_is_refused(old: str, new: str) -> None:
    """Its text, its signature, its layout: each is told apart from a good one."""
    with pytest.raises(InvalidInput):
        open_note(GO_NOTE.replace(old, new, 1), read_verifier(GO_KEY), verify)


@given(st.integers(0, 2**62), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_comes_back_as_it_was_signed(size: int, root: bytes) -> None:
    """Whatever its size and root."""
    secret = make_key()
    mine = Verifier("bleen/dev/1", public_of(secret))
    checkpoint = Checkpoint(mine.name, size, root)
    note = sign_note(checkpoint.text, mine, lambda text: sign(secret, text))
    assert read_checkpoint(open_note(note, mine, verify)) == checkpoint
    with pytest.raises(InvalidInput):
        open_note(note.replace(f"\n{size}\n", f"\n{size + 1}\n"), mine, verify)


@pytest.mark.parametrize(
    "text", ["", "a\n", "a\n1\n", "a\n01\nAA==\n", "a\n-1\nAA==\n", "a\n1\nAA==\n", "\n1\nAA==\n", "a\n1\nA"]
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    """Clearly, and never by another exception."""
    with pytest.raises(InvalidInput):
        read_checkpoint(text)


@given(st.text())
def test_any_text_is_a_note_or_refused(text: str) -> None:
    """No text crashes the reader."""
    with pytest.raises(InvalidInput):
        open_note(text, read_verifier(GO_KEY), verify)
    with pytest.raises(InvalidInput):
        read_verifier(text)
    with pytest.raises(InvalidInput):
        read_secret(text)


def test_a_key_survives_its_file() -> None:
    """The private half is read as it was written."""
    secret = make_key()
    assert read_secret(write_secret("bleen/dev/1", public_of(secret), secret)) == ("bleen/dev/1", secret)


def test_a_proof_has_the_layout_of_the_field() -> None:
    """The lines of c2sp.org/tlog-proof."""
    lines = write_proof(7, ["00" * 32, "ff" * 32], "origin\n8\nroot\n\nsignature\n").split("\n")
    assert lines[:2] == ["c2sp.org/tlog-proof@v1", "index 7"]
    assert lines[4:6] == ["", "origin"]
    assert all(len(line) == 44 for line in lines[2:4])
