"""OpenSCAP: hardens a system that lies in a folder by a benchmark, and judges it by the same.

The content is SCAP Security Guide's for Ubuntu 22.04 (Debian's package ssg-debderived): its guide for Debian 12 has no CIS
benchmark. What asks for Ubuntu is taken out of the copy that is used, and the report says whose benchmark it is.
"""

import asyncio
import re
import shutil
from collections.abc import Container, Mapping
from functools import cache
from pathlib import Path
from typing import Protocol
from xml.etree import ElementTree

from bleen.domain.base import Benchmark
from bleen.domain.codec import Value, decode, digest_of
from bleen.domain.errors import BuildFailed
from bleen.domain.finding import Check, Finding, Report, Severity
from bleen.domain.image import Digest

CONTENT = Path("/usr/share/xml/scap/ssg/content/ssg-ubuntu2204-ds.xml")
PROFILES = {Benchmark.CIS_LEVEL_1: "xccdf_org.ssgproject.content_profile_cis_level1_server"}
NAMES = {Benchmark.CIS_LEVEL_1: "CIS Ubuntu 22.04 level 1 (server), applied to Debian"}
_ONLY_UBUNTU = re.compile(rb'<xccdf-1\.2:platform idref="cpe:/o:canonical[^>]*/>')
_RULE = "xccdf_org.ssgproject.content_rule_"
_XCCDF = "{http://checklists.nist.gov/xccdf/1.2}"
_SEVERITIES = {"high": Severity.HIGH, "medium": Severity.MEDIUM}
_JUDGED = (0, 2)
"""What it ends with where it has judged: 2 where some rule is not kept."""
_CRASHES = 3
"""Its probes are threads, and one in some dozen runs of 1.3.7 ended with a segmentation fault on a busy machine."""
_ENDED = range(256)
"""However its script ends by itself: some remedies miss programs that a small system has not, and what counts is what is
judged afterwards. One that was killed has another code."""
_FOLDERS = ("etc/modprobe.d", "etc/sysctl.d", "etc/security/limits.d", "etc/profile.d", "etc/cron.d", "etc/cron.daily")
"""Folders that the benchmark's script takes for granted, and a small system has not."""


class Broken(Value, frozen=True):
    """A rule that a system does not keep."""

    rule: str
    severity: Severity
    title: str


class Judged(Value, frozen=True):
    """What a benchmark says of a system."""

    passed: int
    failed: tuple[Broken, ...]
    not_checked: tuple[Broken, ...] = ()
    not_applicable: int = 0


class Compliance(Value, frozen=True):
    """A system before and after it was hardened."""

    benchmark: Benchmark
    before: Judged
    after: Judged


class Root(Protocol):
    """Runs programs as root; BuildFailed, with their last words, where they end otherwise than ``good``."""

    async def run(self, *words: str, good: Container[int] = (0,), env: Mapping[str, str] = {}, crashes: int = 0) -> None:
        """Run a program of the machine, again where it crashes, so often."""

    async def inside(self, system: Path, *words: str, good: Container[int] = (0,)) -> None:
        """Run a program of the system in it, with nothing of the machine in reach."""


def read_compliance(path: Path) -> Compliance:
    """Return what was kept of a system's judgement."""
    found: Compliance = decode(path.read_bytes(), Compliance)
    return found


def content(search: str) -> Digest:
    """Return the digest of the benchmark's content; BuildFailed where that, or OpenSCAP on the PATH ``search``, is missing."""
    absent = [] if shutil.which("oscap", path=search) else ["no oscap"]
    absent += [] if CONTENT.is_file() else [f"no {CONTENT}"]
    if absent:
        raise BuildFailed(
            "OpenSCAP or its content is not installed here",
            why=f"there is {' and '.join(absent)}",
            next="apt install openscap-scanner ssg-debderived, or leave benchmark out of the recipe",
        )
    return _digest(CONTENT.stat().st_mtime_ns)


@cache
def _digest(_: int) -> Digest:
    """Return the digest of the content, which is read again when its time says that it was changed."""
    return digest_of(CONTENT.read_bytes())


class OpenScap:
    """Judges and hardens by one benchmark. ``work`` is a folder for what it needs beside the system; it is made."""

    def __init__(self, root: Root, benchmark: Benchmark, work: Path) -> None:
        self._root = root
        self._profile = PROFILES[benchmark]
        self._guide = work / "guide.xml"
        self._results = work / "results.xml"
        work.mkdir(parents=True, exist_ok=True)
        self._guide.write_bytes(_ONLY_UBUNTU.sub(b"", CONTENT.read_bytes()))

    async def judge(self, system: Path) -> Judged:
        """Return what the benchmark says of the system in ``system``, which is left as it was."""
        before = await asyncio.to_thread(_top, system)
        there = {"OSCAP_PROBE_ROOT": str(system), "OSCAP_PROBE_OS_NAME": "Linux"}
        words = ("oscap", "xccdf", "eval", "--profile", self._profile, "--results", str(self._results), str(self._guide))
        await self._root.run(*words, good=_JUDGED, env=there, crashes=_CRASHES)
        for left in await asyncio.to_thread(_top, system) - before:  # its copies of dpkg's lists
            left.unlink()
        return await asyncio.to_thread(_read, self._results)

    async def harden(self, system: Path) -> None:
        """Run the benchmark's own script in the system: without the machine's /proc, network, processes or names."""
        script = system / "harden.sh"
        words = ("oscap", "xccdf", "generate", "fix", "--fix-type", "bash", "--profile", self._profile)
        await self._root.run(*words, "--output", str(script), str(self._guide))
        for folder in _FOLDERS:
            (system / folder).mkdir(parents=True, exist_ok=True)
        try:
            await self._root.inside(system, "/bin/bash", "/harden.sh", good=_ENDED)
        finally:
            script.unlink()


def _top(system: Path) -> set[Path]:
    return set(system.iterdir())


def findings(found: Compliance) -> Report:
    """Return the rules that the hardened system does not keep, and what was looked at."""
    name, before, after = NAMES[found.benchmark], found.before, found.after
    looked_at = (
        f"the whole system by {name}: {len(after.failed)} rules not kept and {after.passed} kept, "
        f"{len(before.failed)} not kept before hardening; {after.not_applicable} do not apply"
    )
    broken = tuple(
        Finding(f"cis-{rule.rule}", rule.severity, rule.title, fix="harden it in the recipe, or waive it with the reason")
        for rule in after.failed
    )
    unknown = tuple(
        Finding(f"not-checked-cis-{rule.rule}", Severity.NOT_CHECKED, rule.title, fix="check it by hand, or waive it")
        for rule in after.not_checked
    )
    return Report((Check("cis", looked_at),), (*broken, *unknown))


def _read(results: Path) -> Judged:
    root = ElementTree.parse(results).getroot()
    titles = {rule.get("id"): rule.findtext(f"{_XCCDF}title", "") for rule in root.iter(f"{_XCCDF}Rule")}
    by: dict[str, list[Broken]] = {}
    for result in root.iter(f"{_XCCDF}rule-result"):
        said, rule = result.findtext(f"{_XCCDF}result", ""), result.get("idref", "")
        severity = _SEVERITIES.get(result.get("severity", ""), Severity.LOW)
        by.setdefault(said, []).append(Broken(rule.removeprefix(_RULE), severity, titles.get(rule) or rule))
    known = [*by.get("fail", ()), *by.get("error", ()), *by.get("unknown", ())]
    return Judged(
        passed=len(by.get("pass", ())),
        failed=tuple(sorted(known, key=lambda broken: broken.rule)),
        not_checked=tuple(sorted(by.get("notchecked", ()), key=lambda broken: broken.rule)),
        not_applicable=len(by.get("notapplicable", ())),
    )
