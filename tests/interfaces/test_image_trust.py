"""What the command line says about whether an image can be trusted."""

from pathlib import Path

import pytest

from bleen.domain.finding import Finding, Severity, not_checked
from bleen.domain.inventory import Kind, Package
from tests.interfaces.conftest import Bleen
from tests.interfaces.estate import Estate

pytestmark = pytest.mark.usefixtures("repository")


@pytest.fixture
def digest(estate: Estate, bleen: Bleen, repository: Path) -> str:
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


LEAK = Finding("private-key", Severity.CRITICAL, "line 1 holds a private key", where="server.key", fix="take it out")
HOST = not_checked("the operating system", "it is the machine's own", "patch the machine", "host")
POLICY = """\
environments:
  staging: [critical, not-checked]
waivers:
  - finding: private-key
    owner: ann
    reason: a key for tests
    expires: "2999-12-31"
"""


def write_policy(repository: Path, text: str) -> None:
    (repository / "infrastructure").mkdir()
    (repository / "infrastructure/policy.yaml").write_text(text)


@pytest.mark.usefixtures("digest")
def test_scan_says_what_was_found_and_what_was_not_checked(bleen: Bleen, estate: Estate) -> None:
    """What was not checked is shown, and blocks nothing by default."""
    estate.scanner.find("1.0.0", HOST)
    typed = bleen("image", "scan", "hello")
    assert typed.code == 0
    assert "checked      memory: what a test said" in typed.out
    assert "not checked  the operating system: it is the machine's own" in typed.out
    assert "hello may be released to dev, where critical blocks" in typed.out


@pytest.mark.usefixtures("digest")
def test_a_blocked_image_is_exit_code_1(bleen: Bleen, estate: Estate) -> None:
    """With the finding, the file and the fix; the same for programs."""
    estate.scanner.find("1.0.0", LEAK)
    typed = bleen("image", "scan", "hello")
    assert typed.code == 1
    assert "private-key: server.key: line 1 holds a private key" in typed.out and "fix: take it out" in typed.out
    assert "BLOCKED: hello may not be released to dev: 1 finding of critical" in typed.out
    as_json = bleen("image", "scan", "hello", "--json")
    assert as_json.code == 1
    assert [finding["id"] for finding in as_json.json["judgement"]["blocking"]] == ["private-key"]


@pytest.mark.usefixtures("digest")
def test_the_policy_of_the_repository_counts(bleen: Bleen, estate: Estate, repository: Path) -> None:
    """Its waivers, its environments."""
    estate.scanner.find("1.0.0", LEAK, HOST)
    write_policy(repository, POLICY)
    typed = bleen("image", "scan", "hello")
    assert typed.code == 0
    assert "waived       private-key: a key for tests (ann, until 2999-12-31)" in typed.out
    assert bleen("image", "scan", "hello", "--env", "staging").code == 1


@pytest.mark.parametrize(
    ("old", "new", "place", "what"),
    [
        ("owner", "ownr", "policy.yaml:5", "owner"),
        ("    owner: ann\n", "", "policy.yaml:4", "owner"),
        ("2999-12-31", "2999-02-31", "policy.yaml:7", "there is no day 2999-02-31"),
        ("2999-12-31", "soon", "policy.yaml:7", "expires"),
        ("not-checked", "unheard-of", "policy.yaml:2", "unheard-of"),
        ("finding: private-key", "finding: critical", "policy.yaml:4", "is no finding"),
        ("environments", "enviroments", "policy.yaml:1", "environments"),
    ],
)
@pytest.mark.usefixtures("digest")
def test_a_policy_that_is_wrong_is_refused_at_its_line(
    bleen: Bleen, repository: Path, old: str, new: str, place: str, what: str
) -> None:
    """By scan, by deploy and by validate: a policy that is half understood would let through what it forbids."""
    write_policy(repository, POLICY.replace(old, new))
    for words in (("image", "scan", "hello"), ("deploy", "hello"), ("validate",), ("validate", "infrastructure/policy.yaml")):
        typed = bleen(*words)
        assert typed.code == 2
        assert place in typed.err + typed.out and what in typed.err + typed.out


@pytest.mark.usefixtures("estate")
def test_an_unknown_image_is_exit_code_2(bleen: Bleen) -> None:
    """It says where the known ones are listed."""
    typed = bleen("image", "verify", "nope")
    assert typed.code == 2
    assert "no image nope" in typed.err and "bleen image list" in typed.err
