"""Scanners that are installed on this machine: trivy and grype, each with the database that it has. None is fetched."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bleen.domain.codec import Value
from bleen.domain.finding import Check, Finding, Report, Severity, not_checked

_SECONDS = 300.0
_SEVERITIES = {"CRITICAL": Severity.CRITICAL, "HIGH": Severity.HIGH, "MEDIUM": Severity.MEDIUM}
_OFFLINE = {"GRYPE_DB_AUTO_UPDATE": "false", "GRYPE_CHECK_FOR_APP_UPDATE": "false", "TRIVY_DISABLE_VEX_NOTICE": "true"}


class Program(Value, frozen=True):
    """How one scanner is asked, and how it answers."""

    name: str
    words: tuple[str, ...]
    """``{}`` stands for the tree."""
    read: Callable[[Any], Iterator[Finding]]


def check_programs(trees: Sequence[Path], path: str | None = None) -> Report:
    """Return what the scanners on ``path`` (default: PATH) find; nothing where there is none."""
    reports = [_scan(program, found, trees) for program in PROGRAMS if (found := shutil.which(program.name, path=path))]
    checks = tuple(check for report in reports for check in report.checks)
    return Report(checks, tuple(finding for report in reports for finding in report.findings))


def _scan(program: Program, executable: str, trees: Sequence[Path]) -> Report:
    findings: list[Finding] = []
    for tree in trees:
        command = [executable, *(word.replace("{}", str(tree)) for word in program.words)]
        try:
            ended = subprocess.run(command, capture_output=True, timeout=_SECONDS, env={**os.environ, **_OFFLINE})
            if ended.returncode:
                return _failed(program, ended.stderr.decode(errors="replace").strip().rpartition("\n")[2])
            findings += program.read(msgspec.json.decode(ended.stdout))
        except (OSError, subprocess.TimeoutExpired, msgspec.MsgspecError, KeyError, TypeError) as error:
            return _failed(program, str(error) or type(error).__name__)
    return Report((Check(program.name, "every package that it knows, by the database that it has here"),), tuple(findings))


def _failed(program: Program, why: str) -> Report:
    fix = f"have {program.name} fetch its database, or take it from the PATH of the controller"
    return Report(findings=(not_checked(f"the image by {program.name}", why, fix, program.name),))


def _trivy(said: Any) -> Iterator[Finding]:
    for result in said.get("Results") or []:
        for one in result.get("Vulnerabilities") or []:
            fixed = one.get("FixedVersion", "")
            yield Finding(
                id=one["VulnerabilityID"],
                severity=_SEVERITIES.get(one.get("Severity", ""), Severity.LOW),
                what=one.get("Title") or "trivy knows of it",
                package=one["PkgName"],
                installed=one.get("InstalledVersion", ""),
                fixed=fixed,
                where=one.get("PkgPath") or result.get("Target", ""),
                fix=f"use {one['PkgName']} {fixed}" if fixed else "there is no fix yet",
            )


def _grype(said: Any) -> Iterator[Finding]:
    for match in said["matches"]:
        one, package = match["vulnerability"], match["artifact"]
        fixed = ", ".join(one.get("fix", {}).get("versions") or [])
        places = [place["path"] for place in package.get("locations") or []]
        yield Finding(
            id=one["id"],
            severity=_SEVERITIES.get(one.get("severity", "").upper(), Severity.LOW),
            what=one.get("description") or "grype knows of it",
            package=package["name"],
            installed=package.get("version", ""),
            fixed=fixed,
            where=places[0].lstrip("/") if places else "",
            fix=f"use {package['name']} {fixed}" if fixed else "there is no fix yet",
        )


_TRIVY = ("--offline-scan", "--skip-db-update", "--skip-java-db-update")
PROGRAMS = (
    Program(
        "trivy",
        ("rootfs", "--quiet", *_TRIVY, "--scanners", "vuln", "--format", "json", "{}"),
        _trivy,
    ),
    Program("grype", ("dir:{}", "--quiet", "--output", "json"), _grype),
)
