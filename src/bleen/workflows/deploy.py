"""The workflows that lead to a rollout, or need none: deploy makes a release, rollback chooses one, scale keeps it."""

from datetime import timedelta
from typing import Any

from msgspec import structs
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from bleen.domain.pipeline import Building
    from bleen.domain.release import Release
    from bleen.workflows.activities import Activities
    from bleen.workflows.build import durable, refused
    from bleen.workflows.messages import (
        Adjusted,
        AdjustRequest,
        DeployRequest,
        DeployResult,
        ReleaseOrder,
        RollbackRequest,
        RolloutRequest,
        ScaleRequest,
        ScaleResult,
        Started,
        Unchanged,
    )
    from bleen.workflows.starting import Starting

_PATIENT: Any = {
    "start_to_close_timeout": timedelta(hours=1),
    "heartbeat_timeout": timedelta(seconds=10),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=2), maximum_attempts=8
    ),
}


@workflow.defn(name="Deploy")
class DeployWorkflow:
    """Build an image, make a release of it and begin its rollout, now or after the one that runs."""

    def __init__(self) -> None:
        self._pipeline = durable()

    @workflow.query
    def building(self) -> Building:
        """Return what it does before the release is made."""
        return self._pipeline.view

    @workflow.run
    async def run(self, request: DeployRequest) -> DeployResult:
        """Return what became of it; a refusal is a value."""
        try:
            release = await self._release(request)
            wanted = _rollout_of(request, release)
            begun = await _begin(wanted, release)
            if begun is not None:
                return begun
            scale = ScaleRequest(wanted.environment, wanted.service, wanted.size, wanted.by)
            resized = await workflow.execute_activity_method(Starting.resize, scale, **_PATIENT)
            return Unchanged(release, resized if resized.before != resized.after else None, await _adjust(wanted))
        except ActivityError as failure:
            return refused(failure)

    async def _release(self, request: DeployRequest) -> Release:
        """Return the release of ``request``; what an earlier version of Bleen began goes on in one act."""
        if not workflow.patched("stages"):
            return await workflow.execute_activity_method(Activities.prepare_release, request, **_PATIENT)
        image = await self._pipeline.build(request.wanted)
        order = ReleaseOrder(request, image)
        return await workflow.execute_activity_method(Activities.make_release, order, **_PATIENT)


@workflow.defn(name="Rollback")
class RollbackWorkflow:
    """Go back to an earlier release by a rollout of its own: the old fleet is gone, or an older release is wanted."""

    @workflow.run
    async def run(self, request: RollbackRequest) -> DeployResult:
        """Return what became of it; a refusal is a value."""
        try:
            wanted = await workflow.execute_activity_method(Starting.choose_release, request, **_PATIENT)
            release = await workflow.execute_activity_method(Activities.find_release, wanted, **_PATIENT)
            here = workflow.info()
            begun = await _begin(structs.replace(wanted, token=here.workflow_id, asked=here.start_time), release)
            return begun or Unchanged(release)
        except ActivityError as failure:
            return refused(failure)


@workflow.defn(name="Scale")
class ScaleWorkflow:
    """Give the fleet that serves another size, outside any rollout."""

    @workflow.run
    async def run(self, request: ScaleRequest) -> ScaleResult:
        """Return what became of it; a refusal is a value."""
        try:
            return await workflow.execute_activity_method(Starting.resize, request, **_PATIENT)
        except ActivityError as failure:
            return refused(failure)


async def _begin(wanted: RolloutRequest, release: Release) -> DeployResult | None:
    """Return what became of it; None where the release serves already, and no rollout is under way."""
    joined = await workflow.execute_activity_method(Starting.begin, wanted, **_PATIENT)
    if joined is None:
        return None
    if joined.resized or joined.adjusted != Adjusted():
        return Unchanged(release, joined.resized, joined.adjusted)
    return Started(joined.rollout, release)


async def _adjust(wanted: RolloutRequest) -> Adjusted:
    request = AdjustRequest(wanted.environment, wanted.service, wanted.hosts, wanted.strategy, wanted.by)
    return await workflow.execute_activity_method(Starting.adjust, request, **_PATIENT)


def _rollout_of(request: DeployRequest, release: Release) -> RolloutRequest:
    spec = request.spec
    return RolloutRequest(
        environment=request.environment,
        service=spec.service,
        hosts=spec.host_names,
        release=release.number,
        strategy=spec.strategy,
        size=spec.instances,
        by=request.by,
        token=workflow.info().workflow_id,
        asked=workflow.info().start_time,
        exempt=request.exempt,
    )
