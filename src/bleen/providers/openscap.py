"""OpenSCAP: hardens a system that lies in a folder by a benchmark, and judges it by the same.

The content is SCAP Security Guide's for Ubuntu 22.04 (Debian's package ssg-debderived): its guide for Debian 12 has no CIS
benchmark. What asks for Ubuntu is taken out of the copy that is used, and the report says whose benchmark it is.
"""

import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

from bleen.domain.base import Benchmark
from bleen.domain.codec import Value, digest_of
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
_SECONDS = 1800.0
"""For one program: a small machine with a slow disk takes minutes for what others do in half a one."""
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


def content() -> Digest:
    """Return the digest of the benchmark's content; BuildFailed where it, or OpenSCAP, is not installed."""
    if shutil.which("oscap") is None or not CONTENT.is_file():
        raise BuildFailed(
            "OpenSCAP or its content is not installed here",
            why=f"there is no oscap on the PATH, or no {CONTENT}",
            next="apt install openscap-scanner ssg-debderived, or leave benchmark out of the recipe",
        )
    return digest_of(CONTENT.read_bytes())


class OpenScap:
    """Judges and hardens by one benchmark. ``work`` is an empty folder for what it needs beside the system."""

    def __init__(self, benchmark: Benchmark, work: Path) -> None:
        self._profile = PROFILES[benchmark]
        self._guide = work / "guide.xml"
        self._results = work / "results.xml"
        work.mkdir(parents=True, exist_ok=True)
        self._guide.write_bytes(_ONLY_UBUNTU.sub(b"", CONTENT.read_bytes()))

    def judge(self, system: Path) -> Judged:
        """Return what the benchmark says of the system in ``system``, which is left as it was."""
        before = set(system.iterdir())
        probe = {"OSCAP_PROBE_ROOT": str(system), "OSCAP_PROBE_OS_NAME": "Linux", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        words = ("oscap", "xccdf", "eval", "--profile", self._profile, "--results", str(self._results), str(self._guide))
        # 2: some rule is not kept.
        run(words, probe, good=(0, 2))
        for left in set(system.iterdir()) - before:  # its copies of dpkg's lists
            left.unlink()
        return _read(self._results)

    def harden(self, system: Path) -> None:
        """Run the benchmark's own script in the system: without the machine's /proc, network, processes or names."""
        script = system / "harden.sh"
        words = ("oscap", "xccdf", "generate", "fix", "--fix-type", "bash", "--profile", self._profile)
        run((*words, "--output", str(script), str(self._guide)), {"PATH": "/usr/bin:/bin"})
        for folder in _FOLDERS:
            (system / folder).mkdir(parents=True, exist_ok=True)
        try:
            # Some of its remedies miss programs that a small system has not: what counts is what is judged afterwards.
            inside(system, ("/bin/bash", "/harden.sh"), good=range(256))
        finally:
            script.unlink()


def inside(system: Path, words: tuple[str, ...], *, good: "range | tuple[int, ...]" = (0,), **env: str) -> None:
    """Run ``words`` in the system, in namespaces of its own and without /proc: nothing of the machine is in its reach."""
    apart = ("unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child")
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    clean = {"PATH": path, "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": "1577836800", "HOME": "/root", **env}
    run((*apart, "chroot", str(system), *words), clean, good=good)


def run(words: tuple[str, ...], env: dict[str, str], *, good: "range | tuple[int, ...]" = (0,)) -> str:
    """Return what a program said; BuildFailed, with its last words, where it ended otherwise than ``good``."""
    try:
        ended = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildFailed(f"{words[0]} could not be run", why=str(error)) from error
    said = (ended.stdout + ended.stderr).decode(errors="replace")
    if ended.returncode not in good:
        last = "\n".join(line for line in said.splitlines()[-12:] if line.strip())
        raise BuildFailed(f"{Path(words[0]).name} failed: {' '.join(words[:3])} ...", why=last, next="bleen image build again")
    return said


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
