"""Services at a glance, and one service in words: what a person looks at during a release."""

from typing import Annotated

from litestar import get
from litestar.params import FromPath, QueryParameter

from bleen.domain.access import Identity, Role
from bleen.domain.command import Abort, Advance, Command, GoBack, Pause, Resume, accept
from bleen.domain.decision import AskHuman, Wait
from bleen.domain.errors import NothingToDo
from bleen.domain.fidelity import GatewayMode
from bleen.domain.rollout import Promoted, Rollout
from bleen.domain.traffic import Colour
from bleen.domain.verdict import Assessment
from bleen.interfaces.api import reading
from bleen.interfaces.api.guard import Asker
from bleen.interfaces.api.options import VIEW, Environment
from bleen.interfaces.api.providers import Here
from bleen.interfaces.api.standing import etag_of, standing_of
from bleen.interfaces.glance import Act, ColourRow, EvidenceView, LiveView, Motion, Overview, ReadingRow, ServiceRow, StepRow
from bleen.interfaces.verdicts import assessment_words, reading_words, verdict_name, verdict_words
from bleen.interfaces.views import ServiceView
from bleen.interfaces.words import course_words, decision_words, outcome_words, step_words
from bleen.workflows.messages import Progress

Named = Annotated[list[str] | None, QueryParameter(description="Only these services; default: all.")]


@get("/v1/overview", opt=VIEW)
async def show_overview(providers: Here, environment: Environment = "", service: Named = None) -> Overview:
    """Every service of an environment in a row: both colours, the split, what goes on."""
    where = environment or providers.environment
    views = await reading.service_list(providers, where, tuple(service or ()))
    trouble = providers.trouble()
    return Overview(where, tuple(map(row_of, views.services)), providers.clock(), trouble)


@get("/v1/services/{service:str}/live", opt=VIEW)
async def show_live(providers: Here, asker: Asker, service: FromPath[str], environment: Environment = "") -> LiveView:
    """One service and its rollout in words, and what the asker may tell it now."""
    where = environment or providers.environment
    view = await reading.service_view(providers, where, service)
    rollout = view.progress.rollout if view.progress else None
    return LiveView(
        service=view,
        row=row_of(view),
        steps=_steps(rollout) if rollout else (),
        evidence=_evidence(rollout.assessment) if rollout and rollout.assessment else None,
        acts=_acts(view, asker, providers.gateway_mode),
        etag=etag_of(standing_of(view)),
        outcomes=tuple(outcome_words(past.outcome) if past.outcome else "under way" for past in view.history),
    )


def row_of(view: ServiceView) -> ServiceRow:
    """Return ``view`` in a row."""
    return ServiceRow(
        service=view.service,
        state=view.state,
        colours=tuple(row for colour in Colour if (row := _colour(view, colour)) is not None),
        motion=_motion(view.progress) if view.progress else None,
        silent=view.silent,
        url=view.urls.live,
    )


def _colour(view: ServiceView, colour: Colour) -> ColourRow | None:
    """Return a slot; None where it is empty at every gateway and on every machine."""
    routes = [gateway.route for gateway in view.gateways if gateway.route is not None]
    fleets = [fleet for fleet in view.fleets if fleet.slot.colour is colour and not fleet.slot.baseline]
    named = [release for route in routes if (release := route.release(colour)) is not None]
    release = max([*named, *(fleet.release for fleet in fleets)], default=None)
    if release is None:
        return None
    weights = [route.split.weight(colour) / 100 for route in routes]
    return ColourRow(
        colour=colour,
        release=release,
        version=_version(view, release),
        ready=sum(fleet.ready for fleet in fleets),
        size=sum(fleet.size for fleet in fleets),
        weight=min(weights, default=0.0),
    )


def _version(view: ServiceView, release: int) -> str:
    refs = [view.stable, *(ref for past in view.history for ref in (past.target, past.origin))]
    if view.progress:
        refs += [view.progress.rollout.target, view.progress.rollout.stable]
    return next((ref.version for ref in refs if ref is not None and ref.number == release), "")


def _motion(progress: Progress) -> Motion:
    rollout, decision = progress.rollout, progress.decision
    step, outcome = rollout.current, rollout.outcome or rollout.retreat
    return Motion(
        rollout=rollout.id,
        course=course_words(rollout),
        colour=rollout.target_colour,
        step=min(rollout.step + 1, len(rollout.steps)),
        steps=len(rollout.steps),
        at=step_words(step) if step is not None else "clean up",
        doing=decision_words(decision) if decision is not None else "begin",
        why=decision.why if decision is not None else "",
        since=rollout.since,
        started=rollout.started,
        by=rollout.by,
        until=decision.until if isinstance(decision, Wait | AskHuman) else None,
        asks=isinstance(decision, AskHuman),
        paused_by=rollout.paused_by if rollout.paused_since else "",
        back=rollout.retreat is not None,
        outcome=outcome_words(outcome) if outcome else "",
        error=progress.error,
    )


def _steps(rollout: Rollout) -> tuple[StepRow, ...]:
    over = len(rollout.steps) if rollout.step >= len(rollout.steps) else rollout.step
    left = "skipped" if rollout.retreat is not None else "to come"
    return tuple(
        StepRow(step_words(step), "done" if at < over else "now" if at == over and left == "to come" else left)
        for at, step in enumerate(rollout.steps)
    )


def _evidence(seen: Assessment) -> EvidenceView:
    return EvidenceView(
        at=seen.at,
        verdict=verdict_name(seen.verdict),
        sentence=verdict_words(seen),
        words=tuple(assessment_words(seen)),
        requests=seen.requests,
        compared=seen.compared,
        readings=tuple(
            ReadingRow(
                metric=reading.metric,
                unit=reading.unit,
                new=reading.canary,
                beside=reading.baseline,
                worse=max(reading.worse, 0.0),
                worse_at=reading.worse_at,
                fine=max(reading.fine, 0.0),
                fine_at=reading.fine_at,
                words=reading_words(reading),
            )
            for reading in seen.readings
        ),
    )


def _acts(view: ServiceView, asker: Identity, mode: GatewayMode) -> tuple[Act, ...]:
    """Return what can be told now, by whoever asks: `accept` itself says whether it makes sense."""
    rollout = view.progress.rollout if view.progress else None
    found = [Act(verb, _means(verb, view)) for verb, command in _COMMANDS.items() if _makes_sense(rollout, command, view)]
    if rollout is None and view.removing is None and mode is not GatewayMode.FLIP:
        found.append(Act("remove", _removal(view)))
    return tuple(act for act in found if asker.may(_needs(act.verb), view.environment))


_COMMANDS: dict[str, Command] = {
    "promote": Advance(""),
    "pause": Pause(""),
    "resume": Resume(""),
    "abort": Abort(""),
    "rollback": GoBack(""),
}


def _needs(verb: str) -> Role:
    return Role.APPROVER if verb == "promote" else Role.DEPLOYER


def _makes_sense(rollout: Rollout | None, command: Command, view: ServiceView) -> bool:
    if rollout is None:
        return isinstance(command, GoBack) and _leads_back(view)
    if isinstance(command, Pause) and rollout.paused_since is not None:
        return False
    if isinstance(command, GoBack) and not isinstance(rollout.outcome, Promoted):
        return False  # before its promotion, that is to abort
    try:
        accept(rollout, command, view.at)
    except NothingToDo:
        return False
    return True


def _leads_back(view: ServiceView) -> bool:
    """Return whether there was another release since the service was first deployed, or last removed."""
    promoted = [past for past in view.history if isinstance(past.outcome, Promoted)]
    return bool(promoted) and promoted[0].origin is not None


def _means(verb: str, view: ServiceView) -> str:
    """Return what will happen, for whoever confirms it."""
    rollout = view.progress.rollout if view.progress else None
    if rollout is None:
        return f"Roll {view.service} back to the release promoted before, by a new rollout."
    old = f"r{rollout.stable.number}" if rollout.stable else "nothing"
    new = rollout.target.name
    return {
        "promote": f"Say yes to {new} of {view.service} where it waits; the rollout goes on with its next step.",
        "pause": f"Hold the rollout of {new}. Its traffic stays as it is; rolling back stays possible.",
        "resume": f"Let the rollout of {new} go on.",
        "abort": f"Stop the rollout of {new} and give all traffic of {view.service} to {old}.",
        "rollback": f"Give all traffic of {view.service} back to {old}, which is still warm.",
    }[verb]


def _removal(view: ServiceView) -> str:
    name = view.service
    stay = f"Releases and history stay, and bleen deploy {name} brings it back."
    return f"Take {name} out of {view.environment}: its route first, then what runs. {stay}"


ROUTES = (show_overview, show_live)
