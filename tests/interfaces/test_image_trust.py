"""What the command line says about whether an image can be trusted."""

import pytest

from bleen.domain.inventory import Kind, Package
from tests.interfaces.conftest import Bleen
from tests.interfaces.estate import Estate

pytestmark = pytest.mark.usefixtures("repository")


@pytest.fixture
def digest(estate: Estate, bleen: Bleen) -> str:
    """The image of the service hello."""
    bleen("deploy", "hello", "--dry-run")  # which builds it
    (image,) = bleen("image", "list", "--json").json["images"]
    return str(image["digest"])


def test_verify_says_who_signed_and_from_what_it_was_built(bleen: Bleen, digest: str) -> None:
    """By the image's name, or by the first digits of its digest; for programs as one object."""
    typed = bleen("image", "verify", "hello")
    assert typed.code == 0
    assert "hello 1.0.0 may start" in typed.out
    assert "from     directory: path app" in typed.out
    assert bleen("image", "verify", digest[7:15]).out == typed.out
    assert bleen("image", "verify", "hello", "--json").json["provenance"]["digest"] == digest


def test_verify_refuses_with_a_reason_and_the_way_forward(bleen: Bleen, estate: Estate, digest: str) -> None:
    """Exit code 3: the platform will not start it."""
    estate.images.reject(digest, why="its signature is wrong")
    typed = bleen("image", "verify", "hello")
    assert typed.code == 3
    assert "its signature is wrong" in typed.err and "again" in typed.err


def test_sbom_prints_the_bill_and_nothing_else(bleen: Bleen, estate: Estate, digest: str) -> None:
    """What is printed can be piped into another program, in either format."""
    estate.scanner.hold(digest, Package(Kind.NPM, "@types/mime", "4.0.0", "node_modules/@types/mime/package.json"))
    assert [c["purl"] for c in bleen("image", "sbom", "hello").json["components"]] == ["pkg:npm/%40types/mime@4.0.0"]
    assert bleen("image", "sbom", "hello", "--format", "spdx").json["spdxVersion"] == "SPDX-2.3"
    assert bleen("image", "sbom", "hello", "--format", "xml").code == 2


@pytest.mark.usefixtures("estate")
def test_an_unknown_image_is_exit_code_2(bleen: Bleen) -> None:
    """It says where the known ones are listed."""
    typed = bleen("image", "verify", "nope")
    assert typed.code == 2
    assert "no image nope" in typed.err and "bleen image list" in typed.err
