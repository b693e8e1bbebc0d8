"""The reference of the service file says what the types say."""

from pathlib import Path

from bleen.domain.service import Service
from bleen.interfaces.repository.document import parse_document
from bleen.interfaces.repository.reference import EXAMPLE, service_reference
from bleen.interfaces.repository.schema import schema, structs_of
from bleen.interfaces.repository.shape import mismatches

PAGE = Path(__file__).parents[2] / "docs/reference/service-file.md"


def test_the_page_is_what_the_types_say() -> None:
    """Where it differs: `python -m bleen.interfaces.repository.reference` writes it anew."""
    assert PAGE.read_text("utf-8") == service_reference()


def test_the_page_names_every_key_of_every_struct() -> None:
    """No key can be added without its row."""
    page = PAGE.read_text("utf-8")
    for kind in structs_of(Service):
        for field in kind.fields:
            assert f"| `{field.encode_name}` |" in page


def test_ten_lines_are_enough() -> None:
    """The example is a valid service file of at most ten lines, and stands in the page word for word."""
    document = parse_document(EXAMPLE.encode(), "example")
    assert not document.problems
    assert not mismatches(document, Service)
    assert len(EXAMPLE.splitlines()) <= 10
    assert EXAMPLE in PAGE.read_text("utf-8")


def test_a_line_is_enough_for_a_canary() -> None:
    """It stands in the page, and is a valid strategy beside the example."""
    line = "strategy: {type: canary, preset: normal}"
    assert f"`{line}`" in PAGE.read_text("utf-8")
    assert not mismatches(parse_document(f"{EXAMPLE}{line}\n".encode(), "example"), Service)


def test_every_key_has_a_meaning_and_a_default_or_is_required() -> None:
    """So has the JSON Schema that editors show."""
    for part in schema()["$defs"].values():
        assert part["title"]
        assert part["description"]
        assert ("properties" in part) != ("enum" in part)
        for name, key in part.get("properties", {}).items():
            assert key.get("description"), f"{part['title']}.{name} has no description"
            assert ("default" in key) != (name in part["required"]), f"{part['title']}.{name}"
