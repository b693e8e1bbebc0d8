"""When something that was decided cannot be done, now or ever."""

from bleen.domain.decision import Decision, Launch, Measure, Rollback, Shift
from bleen.domain.errors import BleenError, InvalidInput, Permanent
from bleen.domain.rollout import Failed, RolledBack, Rollout


def refuse(rollout: Rollout, decision: Decision, error: BleenError) -> Rollback | None:
    """Return the rollback that follows where trying again cannot help the new release; None where it can.

    Only the new release before its promotion is refused so: a stable fleet that cannot be started is tried again.
    """
    if not isinstance(error, Permanent) or rollout.outcome is not None or rollout.retreat is not None:
        return None
    match decision:
        case Launch(release=release) if release != rollout.target.number:
            return None
        case Shift() if not isinstance(error, InvalidInput):
            return None  # a gateway that does not know a backend yet will; one whose host name another service has, never
        case Launch() | Measure() | Shift():
            reason = str(error).replace("\n", " ")
            return Rollback(RolledBack(reason) if rollout.stable else Failed(reason), reason)
        case _:
            return None
