"""The laws of DESIGN as code. Checked at every transition, whatever `decide` said and whoever asked.

Law 1 (a split sums to 100 %) is `Split` itself, which cannot be built otherwise. Law 5 (one rollout per service and
environment) is the id of the workflow; law 6 (digest before start) a contract of `Fleets.launch`; law 7 (ledger first)
the order of the workflow, which passes the ledger's sequence to every act; law 8 (traffic without control) a journey.
"""

from bleen.domain.capacity import lacking
from bleen.domain.decision import Decision, Promote, Retire, Shift
from bleen.domain.errors import LawBroken
from bleen.domain.removal import Drain, RemovalStep
from bleen.domain.rollout import Observation, Promoted, Rollout
from bleen.domain.strategy import Analyse, RunChecks
from bleen.domain.traffic import place


def check(rollout: Rollout, seen: Observation, decision: Decision) -> None:
    """Raise LawBroken, with the number and the reason, where carrying ``decision`` out would break a law."""
    match decision:
        case Shift():
            _enough_capacity(rollout, seen, decision)
        case Retire():
            _not_routed(seen, decision)
            _not_the_last(seen, decision)
            _undoable_last(rollout, decision)
        case Promote():
            _observed_before_promoted(rollout, seen, decision)
            _evidence_before_promoted(rollout)
        case _:
            pass


def check_removal(seen: Observation, step: RemovalStep) -> None:
    """Raise LawBroken where a step of a removal would break a law: it is no exception to any of them."""
    if not isinstance(step, Drain):
        return
    for leaver in step.fleets:
        retire = Retire(leaver.slot.colour, leaver.release, step.why, leaver.slot.baseline)
        _not_routed(seen, retire)
        _not_the_last(seen, retire)


def _enough_capacity(rollout: Rollout, seen: Observation, shift: Shift) -> None:
    """Law 2: no weight to a fleet that has not the ready instances for its share."""
    why = lacking(rollout, seen, shift.route)
    if why is not None:
        raise LawBroken(2, why)


def _not_routed(seen: Observation, retire: Retire) -> None:
    """Law 3: nothing is removed from a fleet that a gateway is observed to route to; silence is no observation."""
    if seen.may_name(retire.colour, retire.release, baseline=retire.baseline):
        raise LawBroken(3, f"a gateway may still route to r{retire.release} in {place(retire.colour, retire.baseline)}")


def _not_the_last(seen: Observation, retire: Retire) -> None:
    """Law 4: the last serving fleet of a service is never drained or destroyed."""
    if not retire.baseline and seen.may_serve(retire.colour, retire.release):
        raise LawBroken(4, f"r{retire.release} is the fleet that serves")


def _undoable_last(rollout: Rollout, retire: Retire) -> None:
    """Law 10: what cannot be undone happens last."""
    stable = rollout.stable
    if stable is None or retire.baseline or retire.colour is not rollout.stable_colour or retire.release != stable.number:
        return
    if not isinstance(rollout.outcome, Promoted) or rollout.retreat is not None:
        raise LawBroken(10, f"{stable.name} is what a rollback needs until {rollout.target.name} is promoted")


def _observed_before_promoted(rollout: Rollout, seen: Observation, promote: Promote) -> None:
    """Law 3, its other half: a shift is done when every gateway reports it."""
    if not seen.serves(rollout.target_colour, promote.release):
        raise LawBroken(3, f"not every gateway reports all traffic on r{promote.release}")


def _evidence_before_promoted(rollout: Rollout) -> None:
    """Law 9: absence of evidence is not success."""
    if rollout.full_by:
        return
    missing = [s for s in rollout.steps if isinstance(s, RunChecks) and not rollout.checks_done(s)]
    if missing:
        raise LawBroken(9, f"the checks {missing[0].when} the switch have no result")
    unjudged = [i for i, s in enumerate(rollout.steps) if isinstance(s, Analyse) and not rollout.judged(i)]
    if unjudged:
        raise LawBroken(9, f"the measurement at step {unjudged[0] + 1} has no verdict")
