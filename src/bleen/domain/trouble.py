"""When a rollout has to go back by itself. Ordered questions; the first that is true gives the reason."""

from datetime import datetime

from bleen.domain.fleet import Fleet, Instance
from bleen.domain.rollout import Observation, Promoted, Rollout
from bleen.domain.strategy import OpenPreview, SetWeight, StartFleet


def trouble(rollout: Rollout, seen: Observation, now: datetime) -> str | None:
    """Return why the new release must not go on; None when nothing speaks against it."""
    if isinstance(rollout.outcome, Promoted):
        return _died(rollout, seen)
    return _refused(rollout) or _crashing(rollout, seen) or _stuck(rollout, seen, now) or _died(rollout, seen)


def _refused(rollout: Rollout) -> str | None:
    failed = rollout.failed_check()
    return f"the check {failed.name!r} failed: {failed.detail}" if failed and not rollout.full_by else None


def _crashing(rollout: Rollout, seen: Observation) -> str | None:
    for fleet in _target_fleets(rollout, seen):
        crashes = sum(i.restarts for i in fleet.instances)
        if fleet.ready == 0 and crashes >= rollout.strategy.crash_limit:
            return f"its instances crashed {crashes} times and none became ready: {last_words(fleet)}"
    return None


def _stuck(rollout: Rollout, seen: Observation, now: datetime) -> str | None:
    if rollout.paused_since is not None or not isinstance(rollout.current, StartFleet | OpenPreview | SetWeight):
        return None
    deadline = rollout.strategy.progress_deadline
    if now - rollout.since < deadline:
        return None
    ready = seen.ready(rollout.target_colour, rollout.target.number)
    words = next((w for f in _target_fleets(rollout, seen) if (w := last_words(f))), "")
    return f"no progress for {deadline}: {ready} instances are ready" + (f"; {words}" if words else "")


def _died(rollout: Rollout, seen: Observation) -> str | None:
    """All traffic is on the new release and none of it can serve, while the old fleet waits at full strength.

    Its machines and every gateway must agree: one that has just restarted may know nothing yet.
    """
    colour, target, stable = rollout.target_colour, rollout.target.number, rollout.stable
    if stable is None or seen.silent or not seen.serves(colour, target):
        return None
    if seen.ready(colour, target) > 0 or seen.healthy(colour, target) > 0:
        return None
    if seen.capacity(rollout.stable_colour, stable.number) < rollout.stable_size:
        return None
    return "none of its instances can serve any more"


def last_words(fleet: Fleet) -> str:
    """Return how an instance of ``fleet`` last ended, in one line; empty where none did."""
    ended: list[Instance] = [i for i in fleet.instances if i.last_exit]
    if not ended:
        return ""
    last = max(ended, key=lambda i: i.since)
    words = last.last_words.strip().splitlines()
    return f"{last.last_exit}: {words[-1]}" if words else last.last_exit


def _target_fleets(rollout: Rollout, seen: Observation) -> tuple[Fleet, ...]:
    return tuple(f for f in seen.fleets if f.slot.colour is rollout.target_colour and f.release == rollout.target.number)
