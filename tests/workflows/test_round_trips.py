"""How often the engine is asked: each activity is a round trip that somebody waits for."""

from collections.abc import Sequence

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory

from bleen.domain.decision import Wait
from tests.workflows.record import histories_of
from tests.workflows.stage import Stage, quick


async def test_a_deployment_is_a_dozen_of_them(stage: Stage) -> None:
    """A blue-green one, whose old fleet ends at once; watches that saw nothing new are not counted."""
    await stage.deployed("1")
    await stage.deployed("2")
    await stage.idle()
    asked = activities((await histories_of(stage))[-1])
    assert asked[0] == "plan_rollout" and asked.count("act") == 5, asked
    assert len(asked) - asked.count("watch") <= 12, asked


async def test_a_rollback_is_two_of_them_after_the_command(stage: Stage) -> None:
    """A look, and the shift, which enters itself."""
    await stage.deployed("1")
    await stage.deployed("2", quick(warm="10m"))
    await stage.deciding(Wait, "stays warm")
    await stage.rollback()
    await stage.idle()
    asked = activities((await histories_of(stage))[-1], after=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED)
    assert asked[: asked.index("act") + 1] == ["observe", "act"], asked


def activities(history: WorkflowHistory, after: EventType.ValueType | None = None) -> Sequence[str]:
    """Return the names of the activities of ``history`` in order; those after the last event of the type ``after``."""
    events = list(history.events)
    begin = max((n for n, event in enumerate(events) if event.event_type == after), default=0)
    scheduled = [event.activity_task_scheduled_event_attributes for event in events[begin:]]
    return [attributes.activity_type.name for attributes in scheduled if attributes.activity_type.name]
