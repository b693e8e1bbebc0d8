"""Freezes and calendars: when an environment takes rollouts, and who may say so."""

from uuid import uuid4

from litestar import get, post, put
from litestar.params import FromPath, JSONBody

from bleen.domain.access import Identity, Role
from bleen.domain.errors import InvalidInput, NothingToDo
from bleen.domain.freeze import check_calendar, closed, in_force, opens, refuse_closed
from bleen.domain.ledger import CalendarSet, Draft, EnvironmentFrozen, EnvironmentThawed, Event, FreezeOverridden
from bleen.domain.notice import Notice
from bleen.interfaces.api.approval import Act, tell
from bleen.interfaces.api.guard import Asker
from bleen.interfaces.api.providers import Here, Providers
from bleen.interfaces.views import CalendarOrder, FreezeOrder, FreezeView, ThawOrder

YEARS = 5
"""How many years of public holidays a calendar has: the one that it is set in, and those after it."""


def _where(need: Role) -> dict[str, object]:
    return {"needs": need, "within": "environment"}


@get("/v1/environments/{environment:str}/freeze", opt=_where(Role.VIEWER))
async def show_freeze(providers: Here, environment: FromPath[str]) -> FreezeView:
    """Whether an environment takes new rollouts now, why not, and what it goes by."""
    return await freeze_view(providers, environment)


@post("/v1/environments/{environment:str}/freeze", status_code=200, opt=_where(Role.DEPLOYER))
async def freeze(providers: Here, asker: Asker, environment: FromPath[str], data: JSONBody[FreezeOrder]) -> FreezeView:
    """Let no rollout begin from now on; those under way finish their step and hold. A later freeze replaces an earlier one."""
    if data.until is not None and data.until <= providers.clock():
        raise InvalidInput(
            f"the freeze would have ended at {data.until:%Y-%m-%d %H:%M %Z}", why="that is past", next="write a time to come"
        )
    by = asker.signs(data.by)
    await _enter(providers, environment, EnvironmentFrozen(data.reason, data.until), by)
    await tell(providers, Notice("frozen", environment, "", "", "", f"{by} froze {environment}", data.reason, "bleen status"))
    return await freeze_view(providers, environment)


@post("/v1/environments/{environment:str}/thaw", status_code=200, opt=_where(Role.APPROVER))
async def thaw(providers: Here, asker: Asker, environment: FromPath[str], data: JSONBody[ThawOrder]) -> FreezeView:
    """End a freeze that somebody began: what it holds goes on. 409 where there is none; one of the calendar is no such."""
    times, now = await providers.freezes.times(environment, now=True), providers.clock()
    if in_force(times, now) is None:
        shut = closed(times, now)
        why = f"it is closed by its calendar: {shut.why}" if shut else ""
        raise NothingToDo(f"nobody froze {environment}", why=why, next="bleen status")
    by = asker.signs(data.by)
    await _enter(providers, environment, EnvironmentThawed(data.reason), by)
    await tell(providers, Notice("thawed", environment, "", "", "", f"{by} thawed {environment}", data.reason, "bleen status"))
    return await freeze_view(providers, environment)


@put("/v1/environments/{environment:str}/calendar", opt=_where(Role.ADMIN))
async def set_calendar(providers: Here, asker: Asker, environment: FromPath[str], data: JSONBody[CalendarOrder]) -> FreezeView:
    """Let an environment go by this calendar from now on, with the public holidays of these years."""
    check_calendar(data.calendar)
    asked, this = data.calendar.holidays, providers.clock().year
    known = providers.almanac.holidays(asked, range(this, this + YEARS)) if asked else ()
    event = CalendarSet(data.calendar, tuple(known))
    times = await providers.freezes.times(environment, now=True)
    if (times.calendar, times.holidays) != (event.calendar, event.holidays):
        await _enter(providers, environment, event, asker.signs(data.by))
    return await freeze_view(providers, environment)


async def freeze_view(providers: Providers, environment: str) -> FreezeView:
    """Return what an environment goes by now."""
    times, now = await providers.freezes.times(environment, now=True), providers.clock()
    shut = closed(times, now)
    return FreezeView(
        environment=environment,
        at=now,
        closed=shut,
        opens=opens(times, now) if shut else None,
        freeze=in_force(times, now),
        calendar=times.calendar,
        holidays=times.holidays,
    )


async def check_open(providers: Providers, act: Act, who: Identity) -> str:
    """Return why it may begin where nothing may; empty where anything may. Frozen; Forbidden for who may not override."""
    times, now = await providers.freezes.times(act.environment, now=True), providers.clock()
    if closed(times, now) is None:
        return ""
    if not act.emergency:
        refuse_closed(times, act.environment, now, "remove" if act.verb == "remove" else "deploy")
    who.check(Role.APPROVER, act.environment)
    await _enter(providers, act.environment, FreezeOverridden(act.verb, act.emergency), act.by, act.service)
    await tell_override(providers, act)
    return f"{act.by}: {act.emergency}"


async def tell_override(providers: Providers, act: Act) -> None:
    """Let everybody hear of it; that it does not get through keeps nothing from going on."""
    what = f"{act.by} overrode the freeze of {act.environment} to {act.verb} {act.service}"
    await tell(providers, Notice("freeze-overridden", act.environment, act.service, "", "", what, act.emergency, "bleen audit"))


async def _enter(providers: Providers, environment: str, event: Event, by: str, service: str = "") -> None:
    await providers.ledger.append(Draft(f"freeze/{uuid4()}", environment, service, event, by=by))
    await providers.freezes.times(environment, now=True)


ROUTES = (show_freeze, freeze, thaw, set_calendar)
