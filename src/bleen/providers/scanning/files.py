"""What no file of an image may be, and what no file of an image may hold: rights that are too wide, and secrets."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from bleen.domain.codec import Value
from bleen.domain.finding import Check, Finding, Report, Severity

_LARGEST = 1 << 20
"""Bytes of a file that is read for secrets: keys and configuration are small."""
_PUBLIC = re.compile(r"(^|/)(node_modules|site-packages|dist-packages|\.runtime/lib|usr/(lib|share))/")
"""Where packages of registries lie: what is in them is published, and a secret in them is nobody's here."""
_PLACEHOLDER = re.compile(rb"example|placeholder|changeme|xxxx|dummy|your[-_]|\$\{|<[a-z]", re.IGNORECASE)


class Rule(Value, frozen=True):
    """How one kind of secret looks. Only where one of ``signs`` stands is the pattern tried: most files have none."""

    id: str
    what: str
    signs: tuple[bytes, ...]
    pattern: bytes
    severity: Severity = Severity.CRITICAL


RULES = (
    Rule(
        "private-key",
        "a private key",
        (b"PRIVATE KEY",),
        rb"-----BEGIN (?:RSA |EC |DSA |OPENSSH |ENCRYPTED |PGP )?PRIVATE KEY(?: BLOCK)?-----\s+[A-Za-z0-9+/=:,\- ]{16}",
    ),
    Rule("aws-key", "an access key of AWS", (b"AKIA", b"ASIA"), rb"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    Rule("azure-storage-key", "an account key of Azure Storage", (b"AccountKey=",), rb"AccountKey=[A-Za-z0-9+/]{86}=="),
    Rule("google-key", "an API key of Google", (b"AIza",), rb"\bAIza[A-Za-z0-9_-]{35}\b"),
    Rule(
        "github-token",
        "a token of GitHub",
        (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_"),
        rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{82})\b",
    ),
    Rule("gitlab-token", "a token of GitLab", (b"glpat-",), rb"\bglpat-[A-Za-z0-9_-]{20}\b"),
    Rule("slack-token", "a token of Slack", (b"xox",), rb"\bxox[abprs]-[A-Za-z0-9-]{20,}\b"),
    Rule("stripe-key", "a live key of Stripe", (b"k_live_",), rb"\b[rs]k_live_[A-Za-z0-9]{24,}\b"),
    Rule(
        "npm-token",
        "a token of an npm registry",
        (b":_auth", b":_password"),
        rb"(?m)^\s*//[^\s]+/:_(?:authToken|auth|password)\s*=\s*[^\s$]{8,}",
    ),
    Rule(
        "url-password",
        "an address with a password in it",
        (b"://",),
        rb"://[^\s/:@\"']{1,64}:[^\s/:@\"']{6,64}@[\w.-]+",
        Severity.HIGH,
    ),
)
_COMPILED = [(rule, re.compile(rule.pattern)) for rule in RULES]
_NAMES = {
    "id_rsa": "an SSH key",
    "id_ed25519": "an SSH key",
    "id_ecdsa": "an SSH key",
    ".git-credentials": "passwords of git",
    ".netrc": "passwords of machines",
    ".pgpass": "passwords of databases",
    ".htpasswd": "hashes of passwords",
}
_FIX = "take it out of the source, replace the secret, and give the service a reference: env: {NAME: {secret: NAME}}"


class Searched(Value, frozen=True):
    """What a look at every file of a tree showed."""

    seen: int
    read: int
    """Files that were searched for secrets."""
    findings: tuple[Finding, ...]


def search(tree: Path) -> Searched:
    """Look at every file of ``tree``; some seconds where it is a whole base."""
    findings: list[Finding] = []
    seen = read = 0
    for path in _files(tree):
        seen += 1
        where = path.relative_to(tree).as_posix()
        status = path.lstat()
        findings += _rights(where, status.st_mode)
        if stat.S_ISREG(status.st_mode) and 0 < status.st_size <= _LARGEST:
            read += 1
            findings += _secrets(where, path.read_bytes())
    return Searched(seen, read, tuple(findings))


def check_files(trees: Sequence[Searched]) -> Report:
    """Return what is wrong with the files themselves."""
    seen, read = sum(tree.seen for tree in trees), sum(tree.read for tree in trees)
    rights = Check("files", f"{seen:,} files for devices, setuid and setgid bits and rights to write for everybody")
    secrets = Check("secrets", f"{read:,} files of at most 1 MiB for {len(RULES)} kinds of secrets")
    return Report((rights, secrets), tuple(finding for tree in trees for finding in tree.findings))


def _files(tree: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(tree):
        names.sort()
        for name in sorted(files):
            yield Path(folder, name)


def _rights(where: str, mode: int) -> Iterator[Finding]:
    fix = "leave it out of the image, or build the image by Bleen, which keeps no such bits"
    if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
        yield Finding("device", Severity.HIGH, "it is a device", where=where, fix=fix)
    if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
        yield Finding("setuid", Severity.HIGH, "it runs with the rights of its owner or group", where=where, fix=fix)
    if stat.S_ISREG(mode) and mode & stat.S_IWOTH:
        yield Finding("world-writable", Severity.MEDIUM, "everybody may write it", where=where, fix=fix)


def _secrets(where: str, data: bytes) -> Iterator[Finding]:
    public = _PUBLIC.search(where) is not None
    name = where.rpartition("/")[2]
    if name in _NAMES and not public:
        yield Finding("secret-file", Severity.CRITICAL, f"it holds {_NAMES[name]}", where=where, fix=_FIX)
    for rule, pattern in _COMPILED:
        found = pattern.search(data) if any(sign in data for sign in rule.signs) else None
        if found and not _PLACEHOLDER.search(found[0]):
            severity = Severity.LOW if public else rule.severity
            line = data.count(b"\n", 0, found.start()) + 1
            yield Finding(rule.id, severity, f"line {line} holds {rule.what}", where=where, fix=_FIX)
