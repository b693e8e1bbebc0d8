"""How a rollout came out: in words with what to type next, and as the exit code."""

from typing import assert_never

from bleen.domain.rollout import Aborted, Failed, Promoted, ReleaseRef, RolledBack, Superseded
from bleen.domain.told import named
from bleen.domain.verdict import Pass
from bleen.interfaces.cli.follow import Ending, Quest, follow
from bleen.interfaces.cli.session import DETACHED, Session
from bleen.interfaces.figures import counted, lasting
from bleen.interfaces.verdicts import reading_words
from bleen.interfaces.views import Returning, RollbackResult
from bleen.interfaces.words import course_words, outcome_words
from bleen.workflows.messages import Refused, Resized, ScaleResult, Started, Steered, Unchanged


def conclude(
    session: Session,
    environment: str,
    service: str,
    result: RollbackResult,
    *,
    detach: bool,
    before: frozenset[str] = frozenset(),
) -> int:
    """Tell what was begun, watch it unless ``detach``, tell how it ended; return the exit code."""
    match result:
        case Refused(error, what, why, next):
            raise named(error)(what, why=why, next=next)
        case Unchanged():
            return _unchanged(session, environment, service, result)
        case Returning(rollout):
            quest = Quest(environment, service, rollout.target.number, rollout.id, returning=True)
            back = f"{service} goes back to {rollout.stable.name}" if rollout.stable else f"{service} goes back"
            return _watch(session, quest, back, result, detach=detach, wanted=(RolledBack, Aborted))
        case Started(rollout_id, release):
            quest = Quest(environment, service, release.number, rollout_id, before)
            line = f"{rollout_id or service}: {release.name} {release.version} is on its way"
            if not rollout_id:
                line = f"{service}: {release.name} {release.version} comes next; what is under way makes room for it"
            return _watch(session, quest, line, result, detach=detach, wanted=(Promoted,))
    assert_never(result)


def tell_size(session: Session, environment: str, service: str, result: ScaleResult) -> None:
    """Tell what became of a wish for another number of instances."""
    if isinstance(result, Refused):
        raise named(result.error)(result.what, why=result.why, next=result.next)
    if session.json:
        session.say_json({"environment": environment, "service": service, "result": result})
        return
    match result:
        case Steered(rollout):
            session.say(
                f"{rollout.id} ({course_words(rollout)}) goes on with {counted(rollout.size, 'instance')} for each release"
            )
        case Resized(release, before, after) if before == after:
            session.say(f"r{release} of {service} has {counted(after, 'instance')} already")
            return
        case Resized(release, before, after):
            session.say(f"r{release} of {service} goes from {before} to {counted(after, 'instance')}")
            session.say(f"the next bleen deploy {service} goes by its service file again")
    session.say(f"watch it: bleen status {service} --watch")


def _unchanged(session: Session, environment: str, service: str, result: Unchanged) -> int:
    if session.json:
        session.say_json({"environment": environment, "service": service, "result": result})
        return 0
    named = f"{result.release.name} {result.release.version}".rstrip()
    changes = _changes(result)
    if not changes:
        session.say(f"{named} serves {service} already: same image, same configuration, same number of instances")
    for change in changes:
        session.say(f"{named} serves {service} already; {change}")
    if result.resized is not None:
        session.say(f"watch it: bleen status {service} --watch")
    return 0


def _changes(result: Unchanged) -> list[str]:
    """Return what a deployment changed though the release serves already."""
    found, renamed = [], result.adjusted.renamed
    if result.resized is not None:
        found.append(f"it goes from {result.resized.before} to {counted(result.resized.after, 'instance')}")
    if renamed is not None:
        found.append(f"it answers to {', '.join(renamed.after)} instead of {', '.join(renamed.before)} now")
    if result.adjusted.strategy:
        found.append("its new strategy counts from the next release on")
    return found


def _watch(session: Session, quest: Quest, line: str, result: RollbackResult, *, detach: bool, wanted: tuple[type, ...]) -> int:
    if not session.json:
        session.say(line)
    if detach:
        _detached(session, quest, result)
        return 0
    try:
        with session.client() as client:
            ending = follow(session, client, quest)
    except KeyboardInterrupt:
        _still_running(session, quest)
        return DETACHED
    good = isinstance(ending.outcome, wanted)
    if session.json:
        session.say_json({"ok": good, "result": result, "ending": ending})
    else:
        _tell(session, ending, good)
    return 0 if good else 1


def _detached(session: Session, quest: Quest, result: RollbackResult) -> None:
    if session.json:
        session.say_json({"environment": quest.environment, "service": quest.service, "result": result})
    else:
        session.say(f"watch it: bleen status {quest.service} --watch")


def _still_running(session: Session, quest: Quest) -> None:
    name = quest.rollout or quest.service
    session.say(f"{name} goes on without you")
    session.say(f"watch it: bleen status {quest.service} --watch; stop it: bleen abort {quest.service}")


def _tell(session: Session, ending: Ending, good: bool) -> None:
    took = f" in {lasting(ending.seconds)}" if ending.seconds is not None else ""
    release = _named(ending.release)
    match ending.outcome:
        case Promoted():
            session.say(f"done: {release} serves {ending.service}, promoted{took}")
            if ending.replaced is not None:
                session.say(f"to undo it: bleen rollback {ending.service}")
        case RolledBack() if good:
            session.say(f"done: {ending.replaced.name if ending.replaced else ending.service} serves again{took}")
            session.say(f"why it went as it did: bleen explain {ending.rollout}")
        case Superseded():
            session.say(f"{release} was {outcome_words(ending.outcome)}{took}")
            session.say(f"watch that one: bleen status {ending.service} --watch")
        case RolledBack() | Failed() | Aborted():
            after = took.replace(" in ", " after ")
            session.say(f"FAILED{after}: {release} was {_past(ending)}", " " * 8)
            _evidence(session, ending)


def _past(ending: Ending) -> str:
    words = outcome_words(ending.outcome)
    return f"not promoted, {words}" if isinstance(ending.outcome, Failed) else words


def _evidence(session: Session, ending: Ending) -> None:
    if ending.failed_check is not None:
        session.say(f" check: {ending.failed_check.name}: {ending.failed_check.detail}", " " * 8)
    if ending.assessment is not None and not isinstance(ending.assessment.verdict, Pass):
        for reading in ending.assessment.readings:
            session.say(f"traffic {reading_words(reading)}", " " * 8)
    if ending.crashed is not None:
        session.say(f" crash: {ending.crashed.name}: {ending.crashed.last_exit}", " " * 8)
        for line in ending.crashed.last_words.splitlines()[-5:]:
            session.say(f"        | {line}", " " * 8 + "| ")
    session.say(f"  next: bleen explain {ending.rollout}; bleen logs {ending.service}; bleen retry {ending.service}", " " * 8)


def _named(release: ReleaseRef) -> str:
    return f"{release.name} ({release.version})" if release.version else release.name
