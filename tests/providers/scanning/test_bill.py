"""Bills of materials: every package is in them, they are what their formats ask for, and they never vary."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from bleen.domain.inventory import BillFormat, Kind
from bleen.providers.memory.bases import MemoryBases
from bleen.providers.memory.images import MemoryImages
from bleen.providers.scanning.inventory import take_inventory
from bleen.providers.scanning.scanner import ImageScanner
from tests.contracts.scanner import ScannerContract
from tests.providers.scanning.trees import Shelf, add_debian, add_npm, add_python


@dataclass
class LocalBench:
    scanner: ImageScanner
    digest: str
    tree: Path


@pytest.fixture
def bench(tmp_path: Path) -> LocalBench:
    """An image with packages of every kind, on a base of Debian."""
    shelf = Shelf(tmp_path)
    base, below = shelf.add("base", "scratch")
    add_debian(below, ("libssl3", "3.0.11-1~deb12u2", "openssl"), ("libc6", "2.36-9+deb12u4", "glibc (2.36-9)"))
    image, tree = shelf.add("app", base.digest)
    add_python(tree, "Jinja2", "3.1.4", "Classifier: License :: OSI Approved :: BSD License")
    add_python(tree, "typing_extensions", "4.12.2", "License-Expression: PSF-2.0")
    add_npm(tree, "left", "1.2.3", license="MIT OR Apache-2.0")
    add_npm(tree, "@types/mime", "4.0.0", license={"type": "MIT"})
    return LocalBench(ImageScanner(shelf, MemoryBases(MemoryImages())), image.digest, tree)


class TestImageScanner(ScannerContract):
    """The scanner of trees keeps the contract."""

    @pytest.fixture
    def bench(self, tmp_path: Path) -> LocalBench:
        """An image without packages of Debian, whose scan asks no mirror."""
        image, tree = (shelf := Shelf(tmp_path)).add("app")
        add_npm(tree, "left", "1.2.3")
        return LocalBench(ImageScanner(shelf, MemoryBases(MemoryImages())), image.digest, tree)


PURLS = [
    "pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64&distro=debian-12",
    "pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64&distro=debian-12",
    "pkg:npm/%40types/mime@4.0.0",
    "pkg:npm/left@1.2.3",
    "pkg:pypi/jinja2@3.1.4",
    "pkg:pypi/typing-extensions@4.12.2",
]


async def test_every_package_of_image_and_base_is_in_it(bench: LocalBench) -> None:
    """Named as scanners name them."""
    bill = json.loads(await bench.scanner.bill(bench.digest, BillFormat.CYCLONEDX))
    assert sorted(component["purl"] for component in bill["components"]) == PURLS
    licenses = {c["name"]: c["licenses"] for c in bill["components"] if c.get("licenses")}
    assert licenses["left"] == [{"expression": "MIT OR Apache-2.0"}]
    spdx = json.loads(await bench.scanner.bill(bench.digest, BillFormat.SPDX))
    references = [ref["referenceLocator"] for package in spdx["packages"] for ref in package.get("externalRefs", [])]
    assert sorted(references) == PURLS


async def test_cyclonedx_own_schema_accepts_it(bench: LocalBench) -> None:
    """Version 1.6, in its strict form."""
    bill = await bench.scanner.bill(bench.digest, BillFormat.CYCLONEDX)
    assert json.loads(bill)["specVersion"] == "1.6"
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None


async def test_the_tools_of_spdx_accept_it(bench: LocalBench, tmp_path: Path) -> None:
    """Another program parses it, and finds nothing to complain of."""
    path = tmp_path / "bill.spdx.json"
    path.write_text(await bench.scanner.bill(bench.digest, BillFormat.SPDX))
    assert validate_full_spdx_document(parse_file(str(path)), "SPDX-2.3") == []


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A package that hides behind a broken file is not passed over in silence."""
    (add_npm(tmp_path, "broken", "1.0.0") / "package.json").write_text("{")
    add_python(tmp_path, "whole", "1")
    (tmp_path / ".runtime/lib/lost-1.dist-info").mkdir()
    inventory = take_inventory([tmp_path])
    assert inventory.unreadable == (".runtime/lib/lost-1.dist-info/METADATA", "node_modules/broken/package.json")
    assert [package.name for package in inventory.packages] == ["whole"]


def test_what_a_package_brings_for_itself_is_no_package(tmp_path: Path) -> None:
    """Only npm's own places count: a package.json elsewhere says how its folder is loaded, or is a test's."""
    folder = add_npm(tmp_path, "left", "1.2.3")
    (folder / "dist").mkdir()
    (folder / "dist/package.json").write_text('{"type": "module"}')
    (tmp_path / "package.json").write_text('{"name": "image", "private": true}')
    add_npm(folder, "inner", "0.1.0")
    assert [(p.kind, p.name) for p in take_inventory([tmp_path]).packages] == [(Kind.NPM, "inner"), (Kind.NPM, "left")]
