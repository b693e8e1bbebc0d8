"""Rules for the configuration of a base: who may log in, and whose packages are believed."""

import re
from collections.abc import Iterator
from pathlib import Path

from bleen.domain.finding import Check, Finding, Report, Severity

_PASSWD, _SHADOW, _SSHD = "etc/passwd", "etc/shadow", "etc/ssh/sshd_config"
_LOCKED = ("", "*", "!", "!!", "!*", "x")
_UNSAFE_SSH = {"permitrootlogin": "yes", "permitemptypasswords": "yes", "passwordauthentication": "yes"}
_UNCHECKED_APT = re.compile(r"^(?:deb\s+\[[^\]]*trusted=yes|Trusted:\s*yes)", re.MULTILINE)


def check_configuration(tree: Path) -> Report:
    """Return what is wrong with the configuration of a system's tree; nothing where it has no accounts, and is no system."""
    if not (tree / _PASSWD).is_file():
        return Report()
    rules = (_accounts, _passwords, _ssh, _sources)
    findings = tuple(finding for rule in rules for finding in rule(tree))
    looked_at = (
        "accounts, passwords, sshd and apt of the base: rules of Bleen's own, after those of CIS, and not a CIS benchmark"
    )
    return Report((Check("configuration", looked_at),), findings)


def _lines(path: Path) -> list[list[str]]:
    return [line.split(":") for line in path.read_text("utf-8", "replace").splitlines() if line and line[0] != "#"]


def _accounts(tree: Path) -> Iterator[Finding]:
    for fields in _lines(tree / _PASSWD):
        name, password, number = (*fields, "", "", "")[:3]
        if number == "0" and name != "root":
            yield Finding("second-root", Severity.CRITICAL, f"the account {name} is root, too", where=_PASSWD, fix="remove it")
        if password == "":
            what = f"the account {name} needs no password"
            yield Finding("empty-password", Severity.CRITICAL, what, where=_PASSWD, fix="write x or * as its password")


def _passwords(tree: Path) -> Iterator[Finding]:
    path = tree / _SHADOW
    for fields in _lines(path) if path.is_file() else []:
        name, password = (*fields, "", "")[:2]
        if password == "":
            what = f"the account {name} needs no password"
            yield Finding("empty-password", Severity.CRITICAL, what, where=_SHADOW, fix="lock it: passwd -l")
        elif password not in _LOCKED and not password.startswith("!"):
            what = f"the account {name} has a password, the same in every instance"
            yield Finding("baked-password", Severity.HIGH, what, where=_SHADOW, fix="lock it: passwd -l")


def _ssh(tree: Path) -> Iterator[Finding]:
    path = tree / _SSHD
    for line in path.read_text("utf-8", "replace").splitlines() if path.is_file() else []:
        key, _, value = line.strip().partition(" ")
        if _UNSAFE_SSH.get(key.lower()) == value.strip().lower():
            yield Finding("sshd", Severity.HIGH, f"sshd is told {line.strip()}", where=_SSHD, fix=f"write {key} no")


def _sources(tree: Path) -> Iterator[Finding]:
    for path in [tree / "etc/apt/sources.list", *sorted((tree / "etc/apt/sources.list.d").glob("*"))]:
        if path.is_file() and _UNCHECKED_APT.search(path.read_text("utf-8", "replace")):
            where = path.relative_to(tree).as_posix()
            yield Finding("unsigned-apt", Severity.HIGH, "apt takes unsigned packages", where=where, fix="remove trusted=yes")
