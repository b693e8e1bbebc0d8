"""The acts of the demo, and what its traffic says of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from bleen.domain.rollout import Aborted, Failed, Promoted, RolledBack, Superseded
from bleen.providers.load import Sample

WENT_BACK = "went back"
OUTCOMES: dict[type, str] = {
    Promoted: "promoted",
    RolledBack: "refused",
    Aborted: "aborted",
    Superseded: "superseded",
    Failed: "failed",
}
GATEWAYS_OWN = ("502", "503", "504")
"""What a gateway answers where no instance does: such a request is lost to the deployment, whatever its release."""


@dataclass
class Act:
    """One rollout of the story."""

    service: str
    origin: str
    target: str
    outcome: str
    as_expected: bool
    began: float
    """Times are of `time.perf_counter`, which every process of the machine shares."""
    ended: float
    shifted: float | None = None
    """When the shift of all traffic at once was decided; None where it never was."""
    release: str = ""
    """The release that traffic was to reach, ``r2``."""
    tried: bool = False
    """Whether users' traffic was to decide about it."""
    verdict: str | None = None
    """What the traffic said, in a sentence."""
    failed: int = 0
    """Requests that failed, the harmed ones left out."""
    harmed: int = 0
    """Requests that the release failed while it was tried."""
    harmed_for: float = 0.0
    """Seconds from the first harmed request to the last."""

    @property
    def plain(self) -> dict[str, object]:
        return {
            "service": self.service,
            "from": self.origin,
            "to": self.target,
            "outcome": self.outcome,
            "failed_requests": self.failed,
            "harmed_requests": self.harmed,
            "harmed_seconds": round(self.harmed_for, 2),
            "verdict": self.verdict,
            "seconds": round(self.ended - self.began, 2),
        }

    def count(self, samples: Sequence[Sample]) -> None:
        """Tell the requests of this act that failed from those that its release harmed."""
        bad = [s for s in samples if s.failure and self.began <= s.due <= self.ended]
        harmed = [s.ended for s in bad if self.harms(s)]
        self.failed, self.harmed = len(bad) - len(harmed), len(harmed)
        self.harmed_for = max(harmed) - min(harmed) if harmed else 0.0

    def harms(self, sample: Sample) -> bool:
        """Return whether a release that was tried answered 5xx itself: no deployment without a fault could have helped."""
        status = sample.failure[:3]
        return self.tried and sample.answered_by == self.release and status[:1] == "5" and status not in GATEWAYS_OWN

    def first_answer(self, samples: Sequence[Sample]) -> float | None:
        """Return when the first request that the new release answered was sent, once traffic was to reach it."""
        if self.shifted is None:
            return None
        return min(
            (s.started for s in samples if s.answered_by == self.release and self.shifted <= s.started <= self.ended + 1),
            default=None,
        )


@dataclass
class Report:
    """What came of it."""

    acts: list[Act]
    samples: dict[str, Sequence[Sample]]
    """Of each service."""
    rollback_ms: float = 0.0
    switch_ms: list[float] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return sum(len(samples) for samples in self.samples.values())

    @property
    def harmed(self) -> int:
        return sum(act.harmed for act in self.acts)

    @property
    def failed(self) -> int:
        """Failed requests of all samples, those between the acts included, without the harmed ones."""
        return sum(bool(s.failure) for samples in self.samples.values() for s in samples) - self.harmed

    @property
    def ok(self) -> bool:
        return self.failed == 0 and all(act.as_expected for act in self.acts) and bool(self.switch_ms)

    def plain(self) -> dict[str, object]:
        """Return the object that `bleen demo --json` prints."""
        switches = (
            {"median": round(median(self.switch_ms), 1), "max": round(max(self.switch_ms), 1)} if self.switch_ms else None
        )
        return {
            "ok": self.ok,
            "requests": self.requests,
            "failed_requests": self.failed,
            "harmed_requests": self.harmed,
            "switch_ms": switches,
            "rollback_ms": round(self.rollback_ms, 1),
            "rollouts": [act.plain for act in self.acts],
        }


def report(acts: list[Act], samples: dict[str, Sequence[Sample]]) -> Report:
    """Return what ``samples``, those of each service, say of the acts."""
    found = Report(acts, samples)
    for act in acts:
        act.count(samples[act.service])
        first = act.first_answer(samples[act.service])
        if act.shifted is not None and first is not None:
            found.switch_ms.append((first - act.shifted) * 1000)
    back = next((act for act in acts if act.outcome == WENT_BACK), None)
    found.rollback_ms = _last_on_the_other(back, samples[back.service]) if back else 0.0
    return found


def _last_on_the_other(back: Act, samples: Sequence[Sample]) -> float:
    """Return the time from the word to the last request that the release gone back from answered, in ms."""
    after = [s.started for s in samples if s.answered_by == back.release and back.began <= s.started <= back.ended + 1]
    return (max(after) - back.began) * 1000 if after else 0.0
