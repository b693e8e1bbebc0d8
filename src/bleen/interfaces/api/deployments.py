"""Deployments and rollouts: made, tried dry, explained."""

from collections.abc import Sequence
from typing import Annotated

from litestar import get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import structs

from bleen.domain.access import Role
from bleen.domain.errors import NothingToDo
from bleen.domain.fidelity import refuse_beyond
from bleen.domain.listing import names, refuse_claimed, service_key
from bleen.domain.plan import Intent, plan
from bleen.domain.release import Release, config_digest
from bleen.domain.rollout import ReleaseRef
from bleen.interfaces.api import reading
from bleen.interfaces.api.approval import Act, check_deployment
from bleen.interfaces.api.freezes import check_open
from bleen.interfaces.api.guard import Asker
from bleen.interfaces.api.options import BreakGlass, OverrideFreeze
from bleen.interfaces.api.providers import Here, Providers
from bleen.interfaces.thinning import thinned
from bleen.interfaces.views import ActiveRollout, ActiveRollouts, DryRun, Explanation
from bleen.workflows.building import deaf
from bleen.workflows.dry_run import dry_run
from bleen.workflows.messages import DeployRequest, DeployResult


@post("/v1/deployments", status_code=200, opt={"needs": Role.DEPLOYER, "within": "body"})
async def deploy(
    providers: Here,
    asker: Asker,
    data: JSONBody[DeployRequest],
    break_glass: BreakGlass = "",
    override_freeze: OverrideFreeze = "",
) -> DeployResult:
    """Build the image where it is not built yet, make a release, and roll it out."""
    asker.check(Role.DEPLOYER, data.environment)
    refuse_beyond(providers.gateway_mode, data.environment, data.spec)
    signed = structs.replace(data, by=asker.signs(data.by))
    act = Act(signed.by, "deploy", data.environment, data.spec.service, break_glass)
    await check_deployment(providers, act, data.spec)
    exempt = await check_open(providers, structs.replace(act, emergency=override_freeze), asker)
    return await providers.control.deploy(structs.replace(signed, exempt=exempt))


@post("/v1/dry-runs", status_code=200, opt={"needs": Role.DEPLOYER, "within": "body"})
async def try_dry(providers: Here, asker: Asker, data: JSONBody[DeployRequest]) -> DryRun:
    """Return what a deployment would do if all went well. The image is built, through its gates; nothing else happens."""
    asker.check(Role.DEPLOYER, data.environment)
    refuse_beyond(providers.gateway_mode, data.environment, data.spec)
    refuse_claimed(
        service_key(data.environment, data.spec.service), names(data.spec.host_names), await providers.gateway.hosts()
    )
    seen = await reading.observation(providers, data.environment, data.spec.service)
    releases = await providers.ledger.releases(data.spec.service)
    target = await _target(providers, data, releases)
    try:
        rollout = plan(_intent(providers, data, target), {r.number: _ref(r) for r in releases}, seen, providers.clock())
    except NothingToDo:
        return DryRun(release=target.name, unchanged=True, steps=(), decisions=())
    return DryRun(release=target.name, unchanged=False, steps=rollout.steps, decisions=dry_run(rollout, seen))


@get("/v1/rollouts", opt={"needs": Role.VIEWER, "within": "any"})
async def list_rollouts(providers: Here, asker: Asker) -> ActiveRollouts:
    """Every rollout under way, warm times included, of the environments that the token may see."""
    active = [names for names in await providers.control.active() if asker.may(Role.VIEWER, names[0])]
    return ActiveRollouts(rollouts=tuple(ActiveRollout(*names) for names in active))


@get(
    "/v1/rollouts/{environment:str}/{service:str}/{number:int}/explanation",
    opt={"needs": Role.VIEWER, "within": "environment"},
)
async def explain(
    providers: Here,
    environment: FromPath[str],
    service: FromPath[str],
    number: FromPath[int],
    few: Annotated[bool, QueryParameter(description="Of long measurements, few lines.")] = False,
) -> Explanation:
    """Why a rollout went as it did: every decision with its reason and what was seen."""
    whole = await reading.explanation(providers, environment, service, number)
    return structs.replace(whole, lines=tuple(thinned(whole.lines))) if few else whole


async def _target(providers: Providers, request: DeployRequest, releases: Sequence[Release]) -> ReleaseRef:
    """The release that would be made: an equal one keeps its number."""
    if request.image:
        image = await providers.images.find(request.image)
    else:
        image = await providers.control.build(request.wanted, deaf)
    config = config_digest(request.runtime)
    same = next((r for r in releases if (r.image, r.config) == (image.digest, config)), None)
    number = same.number if same else max((r.number for r in releases), default=0) + 1
    return ReleaseRef(number=number, version=image.version, image=image.digest)


def _intent(providers: Providers, request: DeployRequest, target: ReleaseRef) -> Intent:
    spec = request.spec
    return Intent(
        id=f"{request.environment}/{spec.service}/0",
        environment=request.environment,
        service=spec.service,
        hosts=spec.host_names,
        regions=providers.regions,
        target=target,
        strategy=spec.strategy,
        size=spec.instances,
        by=request.by,
    )


def _ref(release: Release) -> ReleaseRef:
    return ReleaseRef(number=release.number, version=release.version, image=release.image)


ROUTES = (deploy, try_dry, list_rollouts, explain)
