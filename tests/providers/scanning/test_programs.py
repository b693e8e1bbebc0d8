"""Scanners that are installed are asked; one without its database has checked nothing.

Neither trivy nor grype comes as a package: small programs stand in for them, which answer in their published formats.
"""

import json
from pathlib import Path

import pytest

from bleen.domain.finding import Severity
from bleen.providers.scanning.programs import check_programs

TRIVY = {
    "Results": [
        {"Target": "app", "Class": "os-pkgs"},
        {
            "Target": "Python",
            "Vulnerabilities": [
                {
                    "VulnerabilityID": "CVE-2019-10906",
                    "PkgName": "Jinja2",
                    "PkgPath": "lib/jinja2.dist-info/METADATA",
                    "InstalledVersion": "2.10",
                    "FixedVersion": "2.10.1",
                    "Severity": "HIGH",
                    "Title": "sandbox escape",
                }
            ],
        },
    ]
}
GRYPE = {
    "matches": [
        {
            "vulnerability": {"id": "CVE-2026-2", "severity": "Critical", "fix": {"versions": [], "state": "wont-fix"}},
            "artifact": {"name": "openssl", "version": "3.0", "locations": [{"path": "/var/lib/dpkg/status"}]},
        }
    ]
}


def install(folder: Path, name: str, script: str) -> str:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return str(folder)


def test_what_trivy_finds_is_found(tmp_path: Path) -> None:
    """Offline, on the tree of the image: with any other words the program here answers nothing."""
    wanted = f"rootfs*--offline-scan*--skip-db-update*json\\ {tmp_path}"
    path = install(
        tmp_path,
        "trivy",
        f"case \"$*\" in {wanted}) cat <<'END'\n{json.dumps(TRIVY)}\nEND\n;; *) exit 1;; esac".replace("cat", "/bin/cat"),
    )
    report = check_programs([tmp_path], path)
    (finding,) = report.findings
    assert (finding.id, finding.severity, finding.package) == ("CVE-2019-10906", Severity.HIGH, "Jinja2")
    assert finding.fix == "use Jinja2 2.10.1"
    assert [check.name for check in report.checks] == ["trivy"]


def test_what_grype_finds_is_found(tmp_path: Path) -> None:
    """Also where there is no fix."""
    path = install(tmp_path, "grype", f"/bin/cat <<'END'\n{json.dumps(GRYPE)}\nEND")
    (finding,) = check_programs([tmp_path], path).findings
    assert (finding.id, finding.severity, finding.where) == ("CVE-2026-2", Severity.CRITICAL, "var/lib/dpkg/status")
    assert finding.fix == "there is no fix yet"


@pytest.mark.parametrize("script", ["echo 'FATAL: no database' >&2; exit 1", "echo hello", "echo '{}' "])
def test_a_scanner_that_fails_has_checked_nothing(tmp_path: Path, script: str) -> None:
    """Whatever it prints: without its database, or in another format."""
    report = check_programs([tmp_path], install(tmp_path, "grype", script))
    (finding,) = report.findings
    assert finding.severity is Severity.NOT_CHECKED and "grype" in finding.what and not report.checks


def test_where_none_is_installed_nothing_is_claimed(tmp_path: Path) -> None:
    """They are a second opinion."""
    assert check_programs([tmp_path], str(tmp_path)).checks == ()
