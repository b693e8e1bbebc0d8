"""The ledger as CDEvents 0.4.1 (cdevents.dev): what was published, deployed, upgraded, rolled back and removed."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

from bleen.domain.codec import Value
from bleen.domain.ledger import ReleaseMade, RolloutStarted, ServiceRemoved, Settled
from bleen.domain.rollout import Promoted, ReleaseRef, Rollout, Superseded
from bleen.interfaces.views import AuditLine
from bleen.interfaces.words import outcome_words

VERSION = "0.4.1"
_TYPES = {
    ("artifact", "published"): "dev.cdevents.artifact.published.0.2.0",
    ("service", "deployed"): "dev.cdevents.service.deployed.0.2.0",
    ("service", "upgraded"): "dev.cdevents.service.upgraded.0.2.0",
    ("service", "rolledback"): "dev.cdevents.service.rolledback.0.2.0",
    ("service", "removed"): "dev.cdevents.service.removed.0.2.0",
}


class Context(Value, frozen=True):
    """Where an event comes from."""

    version: str
    id: str
    source: str
    type: str
    timestamp: datetime


class Subject(Value, frozen=True):
    """What it is about."""

    id: str
    source: str
    type: str
    content: dict[str, Any]


class CDEvent(Value, frozen=True):
    """One event. ``customData`` names the entry of the ledger, which is the proof."""

    context: Context
    subject: Subject
    customData: dict[str, Any]  # the name is the specification's


class Exporter:
    """Turns entries, oldest first, into events. Most entries are none: CDEvents knows no decisions and no evidence."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._rollouts: dict[str, Rollout] = {}

    def events(self, line: AuditLine) -> Iterator[CDEvent]:
        """Yield the event of ``line``, if it is one."""
        match line.event:
            case RolloutStarted(rollout):
                self._rollouts[line.rollout] = rollout
            case ReleaseMade(release):
                content = {"user": line.by} if line.by else {}
                subject = _purl(line.service, release.image, release.version)
                yield self._event(line, "artifact", "published", subject, content, {"release": release.name})
            case ServiceRemoved(reason):
                place = {"environment": {"id": line.environment, "source": self._server}}
                yield self._event(line, "service", "removed", line.service, place, {"reason": reason} if reason else {})
            case Settled(outcome) if line.rollout in self._rollouts:
                rollout = self._rollouts[line.rollout]
                verb, serving = _verb(rollout, line.event)
                if serving is not None:
                    artifact = _purl(line.service, serving.image, serving.version)
                    where = {"id": line.environment, "source": self._server}
                    more = {"release": serving.name, "outcome": outcome_words(outcome)}
                    about = {"environment": where, "artifactId": artifact}
                    yield self._event(line, "service", verb, line.service, about, more)

    def _event(
        self, line: AuditLine, kind: str, verb: str, subject: str, content: dict[str, Any], more: dict[str, Any]
    ) -> CDEvent:
        source = f"{self._server}/{line.environment}"
        context = Context(VERSION, f"{source}#{line.sequence}", source, _TYPES[kind, verb], line.at)
        custom = {"entry": line.sequence, "rollout": line.rollout, "by": line.by, **more}
        return CDEvent(context, Subject(subject, source, kind, content), custom)


def _verb(rollout: Rollout, event: Settled) -> tuple[str, ReleaseRef | None]:
    """Return what happened to the service, and the release that it has now; None where a newer rollout will say."""
    match event.outcome:
        case Promoted():
            return ("upgraded" if rollout.stable else "deployed"), rollout.target
        case Superseded():
            return "rolledback", None
        case _:
            return "rolledback", rollout.stable


def _purl(name: str, digest: str, version: str) -> str:
    """Return the package URL of an image: an OCI artifact, by its digest."""
    tag = f"?tag={quote(version, safe='')}" if version else ""
    return f"pkg:oci/{quote(name)}@{quote(digest, safe='')}{tag}"
