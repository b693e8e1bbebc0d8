"""Advisories are asked of a server that speaks OSV's API; one that does not answer as it should is a finding."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bleen.domain.finding import Severity
from bleen.domain.inventory import Kind, Package
from bleen.providers.scanning.advisories import check_advisories

JINJA = Package(Kind.PYPI, "Jinja2", "2.10", "jinja2.dist-info/METADATA")
LEFT = Package(Kind.NPM, "left", "1.0.0", "node_modules/left/package.json")
ADVISORIES = {
    "GHSA-1": {
        "id": "GHSA-1",
        "aliases": ["CVE-2019-10906"],
        "summary": "Jinja2 sandbox\nescape",
        "database_specific": {"severity": "HIGH"},
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": "jinja2"},
                "ranges": [
                    {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.10.1"}]},
                    {"type": "GIT", "events": [{"fixed": "deadbeef"}]},
                ],
            }
        ],
    },
    "PYSEC-2": {"id": "PYSEC-2", "affected": []},
}


class Osv(BaseHTTPRequestHandler):
    """Answers as the API's documentation says: a batch of ids, in pages, and one advisory at a time."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))["queries"]
        self._say({"results": [self._result(query) for query in asked]})

    def _result(self, query: dict[str, Any]) -> dict[str, Any]:
        if query["package"]["purl"] != "pkg:pypi/jinja2@2.10":
            return {}
        if query.get("page_token") == "more":
            return {"vulns": [{"id": "PYSEC-2", "modified": "2026-01-01T00:00:00Z"}]}
        return {"vulns": [{"id": "GHSA-1", "modified": "2026-01-01T00:00:00Z"}], "next_page_token": "more"}

    def do_GET(self) -> None:
        self._say(ADVISORIES[self.path.removeprefix("/v1/vulns/")])

    def _say(self, value: object) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


class Broken(Osv):
    """Answers something else."""

    def _say(self, value: object) -> None:
        super()._say({"message": "who are you?"})


@pytest.fixture(params=[Osv])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), request.param) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_advisory_names_the_package_and_the_version_to_use(url: str) -> None:
    """Under its CVE id, whichever database wrote it; pages are read to the last."""
    report = check_advisories([LEFT, JINJA], url)
    first, second = report.findings
    assert (first.id, first.severity, first.package, first.fixed) == ("CVE-2019-10906", Severity.HIGH, "Jinja2", "2.10.1")
    assert first.what == "Jinja2 sandbox escape" and first.fix == "use Jinja2 2.10.1 or newer"
    assert (second.id, second.severity, second.fixed) == ("PYSEC-2", Severity.HIGH, "")
    assert "nobody rated it" in second.what
    assert "2 Python and npm packages" in report.checks[0].looked_at


@pytest.mark.parametrize("url", [Broken], indirect=True)
def test_a_server_that_says_something_else_has_checked_nothing(url: str) -> None:
    """No finding of its own, and no silence."""
    report = check_advisories([JINJA], url)
    assert [finding.id for finding in report.findings] == ["not-checked-advisories"] and not report.checks


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:1", "nonsense"])
def test_without_an_answer_nothing_counts_as_good(url: str) -> None:
    """A scan that was skipped is no scan."""
    report = check_advisories([JINJA], url)
    assert [finding.severity for finding in report.findings] == [Severity.NOT_CHECKED] and not report.checks


def test_without_packages_there_is_nothing_to_ask() -> None:
    """And nothing to say."""
    assert check_advisories([], "http://127.0.0.1:1").findings == ()
