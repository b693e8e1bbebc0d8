"""The build workflow, and the shop of workflows: each stage is an activity, and whoever dies is followed by the next stage."""

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from bleen.domain.errors import BleenError
    from bleen.domain.image import Image
    from bleen.domain.pipeline import Building, Carried, OfApplication, Plan
    from bleen.workflows.building import Pipeline
    from bleen.workflows.converter import domain_error
    from bleen.workflows.making import Making
    from bleen.workflows.messages import (
        Begun,
        BuildRequest,
        BuildResult,
        Built,
        GateOrder,
        Passed,
        PublishOrder,
        Refused,
        StageOrder,
    )

_PATIENT: Any = {
    "start_to_close_timeout": timedelta(hours=1),
    "heartbeat_timeout": timedelta(seconds=5),
    # A controller that is killed counts as an attempt, too; a mirror that is away is given four seconds.
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=2), maximum_attempts=6
    ),
}


class Durable:
    """Keeps `building.Shop` in a workflow."""

    async def begin(self, wanted: BuildRequest) -> Begun:
        return await workflow.execute_activity_method(Making.begin, wanted, **_PATIENT)

    async def begin_application(self, making: OfApplication) -> Plan:
        return await workflow.execute_activity_method(Making.begin_application, making, **_PATIENT)

    async def carry_out(self, order: StageOrder) -> Carried:
        return await workflow.execute_activity_method(Making.carry_out_stage, order, **_PATIENT)

    async def scan(self, order: GateOrder) -> Passed:
        return await workflow.execute_activity_method(Making.scan_image, order, **_PATIENT)

    async def comply(self, order: GateOrder) -> Passed:
        return await workflow.execute_activity_method(Making.check_compliance, order, **_PATIENT)

    async def publish(self, order: PublishOrder) -> Image:
        return await workflow.execute_activity_method(Making.publish_image, order, **_PATIENT)


def durable() -> Pipeline:
    """Return the pipeline of a workflow."""
    return Pipeline(Durable(), workflow.now)


def refused(failure: ActivityError) -> Refused:
    """Return what an activity was refused as a value; a cancellation is raised again."""
    if is_cancelled_exception(failure):
        raise failure
    error = domain_error(failure) or BleenError("an activity failed", why=str(failure.__cause__ or failure))
    return Refused(type(error).__name__, error.what, error.why, error.next)


@workflow.defn(name="Build")
class BuildWorkflow:
    """Build an image and publish it. Who asks for the same while it runs is given its result."""

    def __init__(self) -> None:
        self._pipeline = durable()

    @workflow.run
    async def run(self, wanted: BuildRequest) -> BuildResult:
        """Return what became of it; a refusal is a value."""
        try:
            image = await self._pipeline.build(wanted)
        except ActivityError as failure:
            return refused(failure)
        return Built(image, self._pipeline.view.ended)

    @workflow.query
    def building(self) -> Building:
        """Return what it does."""
        return self._pipeline.view
