"""What the checks of an image find, and what they do not take for a finding."""

import base64
import os
from pathlib import Path

import pytest

from bleen.domain.finding import Finding, Severity
from bleen.domain.image import Image
from bleen.domain.patching import Patching
from bleen.providers.memory.bases import MemoryBases
from bleen.providers.memory.images import MemoryImages
from bleen.providers.scanning.checks import Outside, scan_image
from bleen.providers.scanning.configuration import check_configuration
from bleen.providers.scanning.files import check_files, search
from bleen.providers.scanning.scanner import ImageScanner
from tests.providers.scanning.trees import Shelf, add_npm, add_python

# Made up here, and never whole in this file: what looks like a secret in a repository sets off other people's scanners.
BODY = base64.b64encode(bytes(range(48))).decode()
KEY = f"-----BEGIN {'RSA '}PRIVATE KEY-----\n{BODY}\n-----END {'RSA '}PRIVATE KEY-----\n"
SECRETS = {
    "private-key": KEY,
    "aws-key": "id = AKIA" + "QWERTYUIOPASDFGH",
    "azure-storage-key": "AccountKey=" + "a" * 86 + "==",
    "google-key": "AIza" + "b" * 35,
    "github-token": "ghp_" + "c" * 36,
    "gitlab-token": "glpat-" + "d" * 20,
    "slack-token": "xoxb-" + "1" * 24,
    "stripe-key": "sk_live_" + "e" * 24,
    "npm-token": "//registry.test/:_authToken=" + "f" * 20,
    "url-password": "postgres://app:hunter22@db.test/app",
}


def put(tree: Path, name: str, text: str, mode: int = 0o444) -> Path:
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def found_in(tree: Path) -> dict[str, Severity]:
    return {finding.id: finding.severity for finding in check_files([search(tree)]).findings}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_found_with_its_file_and_line(tmp_path: Path, kind: str) -> None:
    """And says how a service gets one instead."""
    put(tmp_path, "conf/app.ini", f"first line\n{SECRETS[kind]}\n")
    (finding,) = check_files([search(tmp_path)]).findings
    assert (finding.id, finding.where) == (kind, "conf/app.ini")
    assert finding.what.startswith("line 2 holds")
    assert "secret: NAME" in finding.fix


def test_what_a_registry_publishes_is_no_secret(tmp_path: Path) -> None:
    """Packages carry keys for their tests: they are told, and block nothing by default."""
    put(tmp_path, ".runtime/lib/library/test/key.pem", KEY)
    assert found_in(tmp_path) == {"private-key": Severity.LOW}


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PUBLIC KEY-----\nabc",
        "if line == '-----BEGIN PRIVATE KEY-----':",
        "postgres://app:${PASSWORD}@db.test/app",
        "https://user:password-placeholder@host.test",
        "//registry.test/:_authToken=${NPM_TOKEN}",
    ],
)
def test_what_only_looks_like_a_secret_is_none(tmp_path: Path, text: str) -> None:
    """Public keys, code that parses keys, references and placeholders."""
    put(tmp_path, "app.py", text)
    assert found_in(tmp_path) == {}


def test_files_that_hold_secrets_by_their_name_are_found(tmp_path: Path) -> None:
    """Whatever is in them."""
    put(tmp_path, "home/.netrc", "machine")
    assert found_in(tmp_path) == {"secret-file": Severity.CRITICAL}


@pytest.mark.parametrize(("mode", "kind"), [(0o4555, "setuid"), (0o2555, "setuid"), (0o666, "world-writable"), (0o555, "")])
def test_rights_that_are_too_wide_are_found(tmp_path: Path, mode: int, kind: str) -> None:
    """Others are not."""
    put(tmp_path, "tool", "x", mode)
    assert found_in(tmp_path).keys() == ({kind} if kind else set())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a device")
def test_a_device_is_found(tmp_path: Path) -> None:
    """It is never opened."""
    os.mknod(tmp_path / "null", 0o20444, os.makedev(1, 3))
    assert found_in(tmp_path) == {"device": Severity.HIGH}


def test_a_configuration_that_lets_people_in_is_found(tmp_path: Path) -> None:
    """Each rule, at its file."""
    put(tmp_path, "etc/passwd", "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\nguest::1000:1000::/:/bin/sh\n")
    put(tmp_path, "etc/shadow", "root:$6$salt$hash:1::::::\nguest::1::::::\napp:!:1::::::\nbin:*:1::::::\n")
    put(tmp_path, "etc/ssh/sshd_config", "#PermitRootLogin yes\nPermitRootLogin yes\nPasswordAuthentication no\n")
    put(tmp_path, "etc/apt/sources.list", "deb [trusted=yes] http://mirror.test/debian bookworm main\n")
    found = sorted((f.id, f.where) for f in check_configuration(tmp_path).findings)
    assert found == [
        ("baked-password", "etc/shadow"),
        ("empty-password", "etc/passwd"),
        ("empty-password", "etc/shadow"),
        ("second-root", "etc/passwd"),
        ("sshd", "etc/ssh/sshd_config"),
        ("unsigned-apt", "etc/apt/sources.list"),
    ]


def test_a_tree_without_accounts_is_no_system(tmp_path: Path) -> None:
    """Nothing is claimed of it."""
    assert check_configuration(tmp_path).checks == ()


def scan(tmp_path: Path, base: str = "host") -> tuple[Image, Path, list[Finding]]:
    image, tree = Shelf(tmp_path).add("app", base)
    add_python(tree, "jinja2", "3.1.4")
    (add_npm(tree, "broken", "1") / "package.json").write_text("{")
    return image, tree, list(scan_image(image, [tree], Outside(Patching(base))).findings)


def test_what_nobody_looked_at_is_a_finding(tmp_path: Path) -> None:
    """The machine below, a package that does not say what it is, and advisories without a source: never silence."""
    _, _, findings = scan(tmp_path)
    unknown = {finding.id: finding.what for finding in findings}
    assert set(unknown) == {"not-checked-advisories", "not-checked-host", "not-checked-package"}
    assert "1 Python and npm packages" in unknown["not-checked-advisories"]
    assert "node_modules/broken/package.json" in unknown["not-checked-package"]
    assert all(finding.severity is Severity.NOT_CHECKED and finding.fix for finding in findings)


def test_an_image_on_a_base_does_not_speak_of_the_machine(tmp_path: Path) -> None:
    """What runs is all in it."""
    assert "not-checked-host" not in [finding.id for finding in scan(tmp_path, f"sha256:{1:064x}")[2]]


async def test_the_files_of_an_image_are_looked_at_once(tmp_path: Path) -> None:
    """Every release on a base asks for its scan: a second look would cost what the first did, and show the same."""
    image, tree = (shelf := Shelf(tmp_path)).add("app")
    put(tree, "app.py", "print('hello')")
    scanner = ImageScanner(shelf, MemoryBases(MemoryImages()))
    before = (await scanner.scan(image.digest)).findings
    put(tree, "id_rsa", KEY)
    assert (await scanner.scan(image.digest)).findings == before
    assert "private-key" in {f.id for f in (await ImageScanner(shelf, MemoryBases(MemoryImages())).scan(image.digest)).findings}
