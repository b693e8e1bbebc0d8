"""What is hashed of an entry says all of it, and is read back."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from bleen.domain.audit import entry_of, leaf_content, netstring
from bleen.domain.errors import InvalidInput
from bleen.domain.ledger import Entry, Event, kind_of
from tests.contracts.ledger import sample_events

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


@given(
    st.sampled_from(sample_events()), st.integers(1, 2**63), st.timedeltas(timedelta(0), timedelta(days=3650)), TEXT, TEXT, TEXT
)
def test_an_entry_is_read_back_from_what_is_hashed(
    event: Event, sequence: int, later: timedelta, key: str, service: str, by: str
) -> None:
    """To the microsecond and the letter, whatever its names look like."""
    entry = Entry(sequence, NOON + later, key, "dev", service, event, by=by, rollout="dev/hello/1")
    assert entry_of(leaf_content(entry)) == entry


@given(st.binary(max_size=200))
def test_anything_else_is_no_entry(data: bytes) -> None:
    """Bytes that are no entry are refused, and nothing breaks."""
    with pytest.raises(InvalidInput):
        entry_of(data)


@pytest.mark.parametrize("event", sample_events(), ids=kind_of)
def test_a_leaf_with_a_byte_less_is_no_entry(event: Event) -> None:
    """Nor is one with a field too many, a length that lies, or a date beyond the calendar."""
    entry = Entry(1, NOON, "k", "dev", "hello", event)
    content = leaf_content(entry)
    far = leaf_content(structs.replace(entry, by="x")).replace(b"16:1772366400000000,", b"20:" + b"9" * 20 + b",")
    for broken in (content[:-1], content[1:], content + netstring(b"more"), far):
        with pytest.raises(InvalidInput):
            entry_of(broken)
