"""`bleen audit`, typed on a platform over the memory providers."""

import json
from pathlib import Path

import pytest

from bleen.domain.ledger import Draft, HostsChanged, ReleaseMade, RolloutStarted, ServiceRemoved, Settled
from bleen.domain.note import read_verifier
from bleen.domain.rollout import Aborted
from bleen.interfaces.cdevents import Exporter
from bleen.interfaces.client import Client
from bleen.interfaces.views import AuditLine
from tests.contracts.ledger import a_release, a_rollout, sample_events
from tests.interfaces.conftest import Bleen
from tests.interfaces.estate import Estate

STRING = {"type": "string", "minLength": 1}


def closed(required: dict[str, object], **more: object) -> dict[str, object]:
    """Return the schema of an object with these properties and no others."""
    return {
        "type": "object",
        "properties": {**required, **more},
        "required": list(required),
        "additionalProperties": False,
    }


CONTEXT = closed(
    {
        "version": {"const": "0.4.1"},
        "id": STRING,
        "source": {**STRING, "format": "uri-reference"},
        "type": {
            "enum": [
                "dev.cdevents.artifact.published.0.2.0",
                "dev.cdevents.service.deployed.0.2.0",
                "dev.cdevents.service.upgraded.0.2.0",
                "dev.cdevents.service.rolledback.0.2.0",
                "dev.cdevents.service.removed.0.2.0",
            ]
        },
        "timestamp": {"type": "string", "format": "date-time"},
    }
)
PLACE = closed({"id": STRING}, source={"type": "string"})
SERVICE = {"anyOf": [closed({"environment": PLACE, "artifactId": STRING}), closed({"environment": PLACE})]}
ARTIFACT = closed({}, user={"type": "string"}, sbom={"type": "object"})
SUBJECT = {
    **closed({"id": STRING, "type": {"enum": ["service", "artifact"]}, "content": {"type": "object"}}, source=STRING),
    "if": {"properties": {"type": {"const": "service"}}},
    "then": {"properties": {"content": SERVICE}},
    "else": {"properties": {"content": ARTIFACT}},
}
EVENT = closed({"context": CONTEXT, "subject": SUBJECT}, customData={"type": "object"})
"""What the schemas of CDEvents 0.4.1 ask of these events, written from the specification."""


@pytest.fixture
def log(estate: Estate) -> Estate:
    """A platform with an entry of each kind, and who asked for it."""
    release = estate.run(estate.ledger.make_release(a_release()))
    for n, event in enumerate((ReleaseMade(release), *sample_events()[1:10])):
        who = "ada" if n % 2 else "eve"
        estate.run(estate.ledger.append(Draft(f"k{n}", "dev", "hello", event, by=who, rollout="dev/hello/1")))
    return estate


def test_it_lists_who_did_what(log: Estate, bleen: Bleen) -> None:
    """Newest first; narrowed by service and by who asked; a page at a time."""
    listed = bleen("audit")
    assert listed.code == 0
    assert listed.out.splitlines()[0].split() == ["ENTRY", "WHEN", "WHERE", "BY", "WHAT"]
    assert "asked to pause" in listed.out
    assert {line["by"] for line in bleen("audit", "--by", "ada", "--json").json["entries"]} == {"ada"}
    assert bleen("audit", "--service", "nobody", "--json").json == {"entries": [], "next": 0}
    page = bleen("audit", "-n", "3", "--json").json
    assert [line["sequence"] for line in page["entries"]] == [10, 9, 8] and page["next"] == 8
    with Client(log.server()) as client:
        assert [line.sequence for line in client.audit(before=8, limit=3).entries] == [7, 6, 5]


def test_it_proves_that_nothing_was_changed(log: Estate, bleen: Bleen) -> None:
    """In a sentence, and as a value with a checkpoint that is signed."""
    told = bleen("audit", "verify")
    assert (told.code, "10 entries: none was changed, removed or reordered" in told.out) == (0, True)
    report = bleen("audit", "verify", "--json").json
    assert (report["size"], report["sealed"], report["findings"]) == (10, 10, [])
    assert read_verifier(report["key"]).name in report["checkpoint"]


def test_an_auditor_sees_that_it_only_grew(log: Estate, bleen: Bleen, tmp_path: Path) -> None:
    """The file of the last audit is held against the log of now, and replaced."""
    seen = tmp_path / "seen"
    assert bleen("audit", "verify", "--seen", str(seen)).code == 0
    first = seen.read_text()
    log.run(log.ledger.append(Draft("more", "dev", "hello", HostsChanged((), ("a",)))))
    again = bleen("audit", "verify", "--seen", str(seen))
    assert again.code == 0 and "it begins with the 10 that you saw last" in again.out
    assert seen.read_text() != first


def test_an_auditor_sees_that_it_is_another_log(log: Estate, bleen: Bleen, tmp_path: Path) -> None:
    """A file that was changed, and one of another key, are refused, and kept as they are."""
    seen = tmp_path / "seen"
    bleen("audit", "verify", "--seen", str(seen))
    lines = seen.read_text().splitlines(keepends=True)
    for text in ("".join([lines[0], lines[1], "9\n", *lines[3:]]), "".join(["x" + lines[0], *lines[1:]]), "nonsense"):
        seen.write_text(text)
        assert bleen("audit", "verify", "--seen", str(seen)).code == 2
        assert seen.read_text() == text


def test_one_entry_can_be_proved(log: Estate, bleen: Bleen, tmp_path: Path) -> None:
    """The proof is checked where it was typed, and written as others read it."""
    told = bleen("audit", "prove", "4", "--out", str(tmp_path / "proof"))
    assert (told.code, "entry 4 is leaf 3 of the 10" in told.out) == (0, True)
    assert (tmp_path / "proof").read_text().startswith("c2sp.org/tlog-proof@v1\nindex 3\n")
    missing = bleen("audit", "prove", "99")
    assert (missing.code, "bleen audit" in missing.err) == (2, True)


def test_the_key_is_printed(log: Estate, bleen: Bleen) -> None:
    """With a checkpoint below it that it has signed."""
    key, origin, size, *_ = bleen("audit", "key").out.splitlines()
    assert (read_verifier(key).name, size) == (origin, "10")


def test_it_is_exported_as_cdevents(log: Estate, bleen: Bleen) -> None:
    """One event a line, each as the specification's schemas ask."""
    from jsonschema import Draft202012Validator

    lines = bleen("audit", "export", "--format", "cdevents").out.splitlines()
    events = [json.loads(line) for line in lines]
    for event in events:
        Draft202012Validator(EVENT, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(event)
    assert [e["context"]["type"].split(".")[3] for e in events] == ["published", "rolledback"]

    log.run(log.ledger.append(Draft("gone", "dev", "hello", ServiceRemoved("unused"), by="ada")))
    gone = json.loads(bleen("audit", "export", "--format", "cdevents").out.splitlines()[-1])
    Draft202012Validator(EVENT, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(gone)
    assert gone["context"]["type"] == "dev.cdevents.service.removed.0.2.0"
    assert (gone["subject"]["content"]["environment"]["id"], gone["customData"]["reason"]) == ("dev", "unused")
    assert len({e["context"]["id"] for e in events}) == len(events)
    assert len(bleen("audit", "export", "--format", "entries").out.splitlines()) == 11
    assert bleen("audit", "export", "--format", "xml").code == 2


def test_what_a_settled_rollout_is_called() -> None:
    """Deployed the first time, upgraded later; a rollout that was stopped rolled back to what served."""
    plan = a_rollout()
    line = AuditLine(2, plan.started, "dev", "hello", plan.id, "", "settled", "", "", Settled(Aborted("ada"), 1))
    exporter = Exporter("http://server")
    assert list(exporter.events(line)) == []  # its beginning is not among the entries
    began = AuditLine(1, plan.started, "dev", "hello", plan.id, "ada", "rollout-started", "", "", RolloutStarted(plan))
    assert list(exporter.events(began)) == []
    [event] = exporter.events(line)
    assert event.context.type == "dev.cdevents.service.rolledback.0.2.0"
    assert plan.stable is not None and event.customData["release"] == plan.stable.name
