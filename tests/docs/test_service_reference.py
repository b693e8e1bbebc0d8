"""The references of the files that people write say what the types say."""

from pathlib import Path

import pytest

from bleen.domain.base import Recipe
from bleen.domain.calendar import Calendars
from bleen.domain.channel import Channels
from bleen.domain.issuer import Access
from bleen.domain.policy import Policy
from bleen.domain.service import Service
from bleen.interfaces.repository.document import parse_document
from bleen.interfaces.repository.reference import (
    ACCESS_EXAMPLE,
    CALENDARS_EXAMPLE,
    CHANNELS_EXAMPLE,
    EXAMPLE,
    IMAGE_EXAMPLE,
    POLICY_EXAMPLE,
    access_reference,
    calendars_reference,
    channels_reference,
    image_reference,
    policy_reference,
    service_reference,
)
from bleen.interfaces.repository.schema import KINDS, schema, structs_of
from bleen.interfaces.repository.shape import mismatches

PAGE = Path(__file__).parents[2] / "docs/reference/service-file.md"
IMAGE_PAGE = PAGE.with_name("image-file.md")
POLICY_PAGE = PAGE.with_name("policy-file.md")
CALENDARS_PAGE = PAGE.with_name("calendars-file.md")
CHANNELS_PAGE = PAGE.with_name("channels-file.md")
ACCESS_PAGE = PAGE.with_name("access-file.md")
PAGES = [
    (Service, PAGE),
    (Recipe, IMAGE_PAGE),
    (Policy, POLICY_PAGE),
    (Calendars, CALENDARS_PAGE),
    (Channels, CHANNELS_PAGE),
    (Access, ACCESS_PAGE),
]


def test_the_page_is_what_the_types_say() -> None:
    """Where it differs: `python -m bleen.interfaces.repository.reference` writes it anew."""
    assert PAGE.read_text("utf-8") == service_reference()
    assert IMAGE_PAGE.read_text("utf-8") == image_reference()
    assert POLICY_PAGE.read_text("utf-8") == policy_reference()
    assert CALENDARS_PAGE.read_text("utf-8") == calendars_reference()
    assert CHANNELS_PAGE.read_text("utf-8") == channels_reference()
    assert ACCESS_PAGE.read_text("utf-8") == access_reference()


@pytest.mark.parametrize(("top", "path"), PAGES)
def test_the_page_names_every_key_of_every_struct(top: type, path: Path) -> None:
    """No key can be added without its row."""
    page = path.read_text("utf-8")
    for kind in structs_of(top):
        for field in kind.fields:
            assert f"| `{field.encode_name}` |" in page


def test_ten_lines_are_enough() -> None:
    """The example is a valid service file of at most ten lines, and stands in the page word for word."""
    document = parse_document(EXAMPLE.encode(), "example")
    assert not document.problems
    assert not mismatches(document, Service)
    assert len(EXAMPLE.splitlines()) <= 10
    assert EXAMPLE in PAGE.read_text("utf-8")


def test_the_recipe_on_the_page_is_a_good_one() -> None:
    """It stands there word for word."""
    assert not mismatches(parse_document(IMAGE_EXAMPLE.encode(), "example"), Recipe)
    assert IMAGE_EXAMPLE in IMAGE_PAGE.read_text("utf-8")


def test_the_policy_on_the_page_is_a_good_one() -> None:
    """It stands there word for word."""
    assert not mismatches(parse_document(POLICY_EXAMPLE.encode(), "example"), Policy)
    assert POLICY_EXAMPLE in POLICY_PAGE.read_text("utf-8")


def test_the_calendars_on_the_page_are_good_ones() -> None:
    """They stand there word for word."""
    assert not mismatches(parse_document(CALENDARS_EXAMPLE.encode(), "example"), Calendars)
    assert CALENDARS_EXAMPLE in CALENDARS_PAGE.read_text("utf-8")


def test_the_channels_on_the_page_are_good_ones() -> None:
    """They stand there word for word."""
    assert not mismatches(parse_document(CHANNELS_EXAMPLE.encode(), "example"), Channels)
    assert CHANNELS_EXAMPLE in CHANNELS_PAGE.read_text("utf-8")


def test_the_access_file_on_the_page_is_a_good_one() -> None:
    """It stands there word for word."""
    assert not mismatches(parse_document(ACCESS_EXAMPLE.encode(), "example"), Access)
    assert ACCESS_EXAMPLE in ACCESS_PAGE.read_text("utf-8")


def test_a_line_is_enough_for_a_canary() -> None:
    """It stands in the page, and is a valid strategy beside the example."""
    line = "strategy: {type: canary, preset: normal}"
    assert f"`{line}`" in PAGE.read_text("utf-8")
    assert not mismatches(parse_document(f"{EXAMPLE}{line}\n".encode(), "example"), Service)


@pytest.mark.parametrize("word", KINDS)
def test_every_key_has_a_meaning_and_a_default_or_is_required(word: str) -> None:
    """So has the JSON Schema that editors show."""
    for part in schema(word)["$defs"].values():
        assert part["title"]
        assert part["description"]
        assert ("properties" in part) != ("enum" in part)
        for name, key in part.get("properties", {}).items():
            assert key.get("description"), f"{part['title']}.{name} has no description"
            assert ("default" in key) != (name in part["required"]), f"{part['title']}.{name}"
