"""Published advisories on Python and npm packages, from a server that speaks OSV's API (https://google.github.io/osv.dev/api/)."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from bleen.domain.finding import Check, Finding, Report, Severity, not_checked
from bleen.domain.inventory import Package
from bleen.providers.transport import httpx, verification

_TIMEOUT = httpx.Timeout(10.0, connect=3.0)
_AT_ONCE = 1000
"""Packages of one question: what the API allows."""
_SEVERITIES = {
    "CRITICAL": Severity.CRITICAL,
    "HIGH": Severity.HIGH,
    "MODERATE": Severity.MEDIUM,
    "MEDIUM": Severity.MEDIUM,
    "LOW": Severity.LOW,
}


def check_advisories(packages: Sequence[Package], url: str) -> Report:
    """Return the advisories on ``packages`` that the server at ``url`` knows, or that nobody looked."""
    if not packages:
        return Report()
    subject = f"advisories on {len(packages)} Python and npm packages"
    if not url:
        fix = "set BLEEN_OSV_URL to a server that speaks OSV's API, on the machine of the controller"
        return Report(findings=(not_checked(subject, "no source of advisories is configured", fix, "advisories"),))
    try:
        with httpx.Client(base_url=url, timeout=_TIMEOUT, verify=verification(url)) as client:
            findings = tuple(_ask(client, packages))
    except (httpx.HTTPError, httpx.InvalidURL, msgspec.MsgspecError, KeyError, TypeError) as error:
        why = f"{url} does not answer as it should: {str(error) or type(error).__name__}"
        return Report(
            findings=(not_checked(subject, why, "check BLEEN_OSV_URL and the network, then scan again", "advisories"),)
        )
    return Report((Check("advisories", f"{len(packages)} Python and npm packages, by {url}"),), findings)


def _ask(client: httpx.Client, packages: Sequence[Package]) -> Iterator[Finding]:
    known: dict[str, dict[str, Any]] = {}
    for first in range(0, len(packages), _AT_ONCE):
        asked = packages[first : first + _AT_ONCE]
        for package, names in zip(asked, _names(client, asked), strict=True):
            for name in names:
                if name not in known:
                    known[name] = _read(client.get(f"/v1/vulns/{name}"))
                yield _finding(package, known[name])


def _names(client: httpx.Client, packages: Sequence[Package]) -> list[list[str]]:
    """Return the ids of the advisories on each package; the answer may come in pages."""
    found: list[list[str]] = [[] for _ in packages]
    waiting = dict.fromkeys(range(len(packages)), "")
    while waiting:
        queries = [_query(packages[place], token) for place, token in waiting.items()]
        results = _read(client.post("/v1/querybatch", json={"queries": queries}))["results"]
        for place, result in zip(list(waiting), results, strict=True):
            found[place] += [vulnerability["id"] for vulnerability in result.get("vulns", [])]
            waiting[place] = result.get("next_page_token", "")
        waiting = {place: token for place, token in waiting.items() if token}
    return found


def _query(package: Package, token: str) -> dict[str, Any]:
    return {"package": {"purl": package.purl}} | ({"page_token": token} if token else {})


def _read(answer: httpx.Response) -> Any:
    return msgspec.json.decode(answer.raise_for_status().content)


def _finding(package: Package, said: dict[str, Any]) -> Finding:
    cve = next((name for name in said.get("aliases", []) if name.startswith("CVE-")), said["id"])
    rated = str(said.get("database_specific", {}).get("severity", "")).upper()
    doubt = "" if rated in _SEVERITIES else " (nobody rated it: it counts as high)"
    fixed = _fixed(said, package)
    return Finding(
        id=cve,
        severity=_SEVERITIES.get(rated, Severity.HIGH),
        what=" ".join(str(said.get("summary") or said["id"]).split()) + doubt,
        package=package.name,
        installed=package.version,
        fixed=fixed,
        where=package.where,
        fix=f"use {package.name} {fixed} or newer" if fixed else f"no version of {package.name} is known to be good",
    )


def _fixed(said: dict[str, Any], package: Package) -> str:
    """Return the versions in which it is fixed, one for each line of versions that is maintained."""
    events = [
        event["fixed"]
        for affected in said.get("affected", [])
        if affected.get("package", {}).get("name", "").lower().replace("_", "-") == package.name.lower().replace("_", "-")
        for span in affected.get("ranges", [])
        if span.get("type") != "GIT"
        for event in span.get("events", [])
        if "fixed" in event
    ]
    return ", ".join(dict.fromkeys(events))
