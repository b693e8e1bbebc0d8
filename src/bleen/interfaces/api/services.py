"""Services: what they are, what they did, and what a person tells them."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from litestar import Request, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import Stream
from msgspec import structs

from bleen.domain.access import Role
from bleen.domain.codec import encode
from bleen.domain.command import Advance, Command, Exempt
from bleen.domain.errors import NothingToDo
from bleen.domain.fidelity import refuse_removal_behind
from bleen.domain.fleet import LogLine
from bleen.domain.removal import Removing
from bleen.domain.rollout import Promoted, Rollout
from bleen.interfaces.api import reading
from bleen.interfaces.api.admitted import while_admitted
from bleen.interfaces.api.approval import Act, check_approval, check_removal
from bleen.interfaces.api.freezes import check_open, tell_override
from bleen.interfaces.api.guard import Asker, still_admitted
from bleen.interfaces.api.options import DEPLOY, VIEW, BreakGlass, Environment, OverrideFreeze, RemovalReason
from bleen.interfaces.api.providers import Here
from bleen.interfaces.api.standing import IfMatch, check_match
from bleen.interfaces.views import (
    Explanation,
    GoBackOrder,
    HistoryView,
    RetryOrder,
    Returning,
    RollbackResult,
    ScaleOrder,
    ServiceList,
    ServiceView,
)
from bleen.workflows.messages import DeployResult, RemovalRequest, RollbackRequest, ScaleRequest, ScaleResult


@get("/v1/services", opt=VIEW)
async def list_services(providers: Here, environment: Environment = "") -> ServiceList:
    """Every service of an environment, as it is seen now."""
    return await reading.service_list(providers, environment or providers.environment)


@get("/v1/services/{service:str}", opt=VIEW)
async def show_service(providers: Here, service: FromPath[str], environment: Environment = "") -> ServiceView:
    """One service, as it is seen now."""
    return await reading.service_view(providers, environment or providers.environment, service)


@get("/v1/services/{service:str}/history", opt=VIEW)
async def show_history(
    providers: Here,
    service: FromPath[str],
    environment: Environment = "",
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 20,
) -> HistoryView:
    """The latest rollouts of a service, newest first."""
    return await reading.history_view(providers, environment or providers.environment, service, limit)


@get("/v1/services/{service:str}/explanation", opt=VIEW)
async def explain_last(providers: Here, service: FromPath[str], environment: Environment = "") -> Explanation:
    """Why the last rollout of a service went as it did."""
    return await reading.explanation(providers, environment or providers.environment, service, None)


@get("/v1/services/{service:str}/logs", media_type="application/x-ndjson", opt=VIEW)
async def show_logs(
    request: Request[Any, Any, Any],
    providers: Here,
    service: FromPath[str],
    instance: FromQuery[str] = "",
    lines: Annotated[int, QueryParameter(ge=0, le=100_000)] = 100,
    follow: FromQuery[bool] = False,
) -> Stream:
    """What the instances of a service wrote: one JSON object a line."""
    if not await providers.fleets.observe(service):
        raise await reading.missing(providers, providers.environment, service)
    log = _lines(providers.fleets.logs(service, instance=instance, lines=lines, follow=follow))
    return Stream(while_admitted(log, still_admitted(request)) if follow else log, media_type="application/x-ndjson")


@post("/v1/services/{service:str}/commands", status_code=200, opt=DEPLOY)
async def command(
    providers: Here,
    asker: Asker,
    service: FromPath[str],
    data: JSONBody[Command],
    environment: Environment = "",
    break_glass: BreakGlass = "",
    if_match: IfMatch = "",
) -> Rollout:
    """Tell the rollout under way something; 409 where it makes no sense, 412 where it has moved on."""
    where = environment or providers.environment
    await check_match(providers, where, service, if_match)
    signed = structs.replace(data, by=asker.signs(data.by))
    if isinstance(data, Advance):
        asker.check(Role.APPROVER, where)
        await check_approval(providers, Act(signed.by, "promote", where, service, break_glass), asker)
    if isinstance(data, Exempt):
        asker.check(Role.APPROVER, where)
    rollout = await providers.control.command(where, service, signed)
    if isinstance(data, Exempt):
        await tell_override(providers, Act(signed.by, "promote", where, service, data.reason))
    return rollout


@post("/v1/services/{service:str}/rollback", status_code=200, opt=DEPLOY)
async def roll_back(
    providers: Here,
    asker: Asker,
    service: FromPath[str],
    data: JSONBody[GoBackOrder],
    environment: Environment = "",
    if_match: IfMatch = "",
) -> RollbackResult:
    """Go back to the release before, or to a given one."""
    where = environment or providers.environment
    await check_match(providers, where, service, if_match)
    result = await providers.control.rollback(RollbackRequest(where, service, asker.signs(data.by), data.to))
    return Returning(result) if isinstance(result, Rollout) else result


@post("/v1/services/{service:str}/retry", status_code=200, opt=DEPLOY)
async def retry(
    providers: Here, asker: Asker, service: FromPath[str], data: JSONBody[RetryOrder], environment: Environment = ""
) -> RollbackResult:
    """Roll the release of the last rollout out again, with every check, if it did not make it."""
    where = environment or providers.environment
    last = (await reading.history_view(providers, where, service, 1)).rollouts[0]
    if last.outcome is None:
        raise NothingToDo(f"{last.id} is under way: there is nothing to retry", next=f"bleen status {service} --watch")
    if isinstance(last.outcome, Promoted):
        raise NothingToDo(f"{last.id} was promoted: there is nothing to retry", next=f"bleen deploy {service}")
    by = asker.signs(data.by)
    await check_open(providers, Act(by, "retry", where, service), asker)
    result: DeployResult | Rollout = await providers.control.rollback(
        RollbackRequest(where, service, by, last.target.number, retry=True)
    )
    return Returning(result) if isinstance(result, Rollout) else result


@post("/v1/services/{service:str}/scale", status_code=200, opt=DEPLOY)
async def scale(
    providers: Here,
    asker: Asker,
    service: FromPath[str],
    data: JSONBody[ScaleOrder],
    environment: Environment = "",
    if_match: IfMatch = "",
) -> ScaleResult:
    """Change the number of instances: by the rollout under way, or without one."""
    where = environment or providers.environment
    await check_match(providers, where, service, if_match)
    return await providers.control.scale(ScaleRequest(where, service, data.size, asker.signs(data.by)))


@delete("/v1/services/{service:str}", status_code=200, opt=DEPLOY)
async def remove(
    providers: Here,
    asker: Asker,
    service: FromPath[str],
    environment: Environment = "",
    by: FromQuery[str] = "",
    reason: RemovalReason = "",
    break_glass: BreakGlass = "",
    override_freeze: OverrideFreeze = "",
    if_match: IfMatch = "",
) -> Removing:
    """Take a service out of an environment for good: its route first, then what runs. Releases and history stay.

    Answers once that is under way; `GET` of the service says how far it has come, and is 404 when it is gone. 409 while a
    rollout is under way.
    """
    where = environment or providers.environment
    await reading.service_view(providers, where, service)
    refuse_removal_behind(providers.gateway_mode, where, service)
    await check_match(providers, where, service, if_match)
    act = Act(asker.signs(by), "remove", where, service, break_glass)
    await check_removal(providers, act)
    await check_open(providers, structs.replace(act, emergency=override_freeze), asker)
    return await providers.control.remove(RemovalRequest(where, service, act.by, reason))


async def _lines(log: AsyncIterator[LogLine]) -> AsyncIterator[bytes]:
    async for line in log:
        yield encode(line) + b"\n"


ROUTES = (list_services, show_service, show_history, explain_last, show_logs, command, roll_back, retry, scale, remove)
