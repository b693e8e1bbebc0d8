"""Decision 0001: messages are tagged, and a wrong tag cannot be accepted; proved on a real server."""

import dataclasses
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.converter import DataConverter
from temporalio.worker import Worker

from bleen.domain.command import Abort, Advance, Command, GoBack, Pause
from bleen.domain.decision import Decision, Wait
from bleen.domain.duration import Duration
from bleen.domain.errors import BleenError, InvalidInput, LawBroken, NothingToDo
from bleen.domain.rollout import Aborted, Outcome, Superseded
from bleen.domain.service import BlueGreen
from bleen.domain.told import KINDS
from bleen.workflows.converter import DATA_CONVERTER, to_failure_error


@workflow.defn(name="Echo", sandboxed=False)
class Echo:
    """Says what it was told, and remembers the last command."""

    def __init__(self) -> None:
        self.ended = False

    @workflow.run
    async def run(self, command: Command) -> Command:
        await workflow.wait_condition(lambda: self.ended)
        return command

    @workflow.update
    def echo(self, command: Command) -> Command:
        return command

    @workflow.update
    def strategy(self, strategy: BlueGreen) -> BlueGreen:
        return strategy

    @workflow.update
    def refuse(self, command: Command) -> None:
        raise to_failure_error(NothingToDo("no", why="because", next="bleen status"))

    @workflow.signal
    def end(self) -> None:
        self.ended = True


@pytest.fixture
async def echo(client: Client) -> AsyncIterator[WorkflowHandle[Echo, Any]]:
    """A running workflow that echoes."""
    queue = f"echo-{uuid.uuid4()}"
    async with Worker(client, task_queue=queue, workflows=[Echo]):
        handle = await client.start_workflow(Echo.run, Pause("ada"), id=queue, task_queue=queue)
        yield handle
        await handle.signal(Echo.end)
        assert await handle.result() == Pause("ada")


@pytest.mark.parametrize("command", [Abort("5xx"), GoBack("5xx"), Advance("5xx"), Pause("5xx")], ids=lambda c: type(c).__name__)
async def test_a_command_arrives_as_what_it_was(echo: WorkflowHandle[Echo, Any], command: Command) -> None:
    """Four structs with the same fields stay four commands, there and back."""
    assert await echo.execute_update(Echo.echo, command) == command


@pytest.mark.parametrize(
    "text",
    [
        b'{"by":"ada"}',
        b'{"type":"abort"}',
        b'{"type":"aborted","by":"ada"}',
        b'{"type":"abort","by":"ada","force":true}',
        b'{"type":"scale","by":"ada","size":"two"}',
        b'"abort"',
        b"null",
    ],
    ids=["no tag", "no field", "unknown tag", "unknown key", "wrong type", "no object", "nothing"],
)
async def test_what_is_no_command_is_refused(echo: WorkflowHandle[Echo, Any], text: bytes) -> None:
    """By the receiver, before its code runs, and the workflow goes on."""
    raw = RawValue(Payload(metadata={"encoding": b"json/plain"}, data=text))
    with pytest.raises(WorkflowUpdateFailedError):
        await echo.execute_update("echo", raw)
    assert await echo.execute_update(Echo.echo, Abort("ada")) == Abort("ada")


async def test_durations_arrive_as_durations(echo: WorkflowHandle[Echo, Any]) -> None:
    """The engine's own converter cannot send them at all."""
    strategy = BlueGreen(warm=Duration.parse("1h30m"))
    assert await echo.execute_update(Echo.strategy, strategy) == strategy
    with pytest.raises(TypeError):
        await DataConverter.default.encode([timedelta(minutes=90)])


async def test_a_refusal_arrives_as_the_error_it_was(echo: WorkflowHandle[Echo, Any]) -> None:
    """Class and words, through a real server."""
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await echo.execute_update(Echo.refuse, Abort("ada"))
    told = caught.value.cause
    assert isinstance(told, NothingToDo)
    assert (told.what, told.why, told.next) == ("no", "because", "bleen status")


@dataclasses.dataclass
class Yes:
    """As one would write it without a tag."""

    reason: str


@dataclasses.dataclass
class No:
    """The opposite."""

    reason: str


async def test_the_engines_own_converter_takes_no_for_yes() -> None:
    """The hazard that decision 0001 is about; when this fails, the engine has mended it."""
    payloads = await DataConverter.default.encode([No("5xx")])
    assert await DataConverter.default.decode(payloads, [Yes | No]) == [Yes("5xx")]  # type: ignore[list-item]


@pytest.mark.parametrize("value", [Aborted("ada"), Superseded(3)], ids=lambda v: type(v).__name__)
async def test_other_unions_keep_their_members(value: Outcome) -> None:
    """Outcomes are told apart by tag alone."""
    assert await DATA_CONVERTER.decode(await DATA_CONVERTER.encode([value]), [Outcome]) == [value]  # type: ignore[list-item]


async def test_moments_keep_their_zone() -> None:
    """And everything below a second."""
    wait = Wait("a while", datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC))
    assert await DATA_CONVERTER.decode(await DATA_CONVERTER.encode([wait]), [Decision]) == [wait]  # type: ignore[list-item]


async def test_a_value_that_nobody_declared_is_refused() -> None:
    """The engine drops every type where a receiver's signature does not fit: no dictionary may slip through."""
    payloads = await DATA_CONVERTER.encode([Abort("ada")])
    with pytest.raises(TypeError, match="no receiver"):
        await DATA_CONVERTER.decode(payloads)


def test_nothing_unknown_is_encoded() -> None:
    """A value that has no JSON form is an error of its sender."""
    with pytest.raises((TypeError, NotImplementedError, msgspec.MsgspecError)):
        DATA_CONVERTER.payload_converter.to_payloads([object()])


def an_error(kind: type[BleenError]) -> BleenError:
    """Return an error of ``kind`` with all of its words."""
    if kind is LawBroken:
        return LawBroken(3, "a gateway routes to it")
    if kind is InvalidInput:
        return InvalidInput("what", why="why", next="next", where="service.yaml:7")
    return kind("what", why="why", next="next")


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
async def test_every_error_of_the_domain_keeps_its_class_and_its_words(kind: type[BleenError]) -> None:
    """Through a failure and back."""
    from temporalio.api.failure.v1 import Failure

    error, failure = an_error(kind), Failure()
    await DATA_CONVERTER.encode_failure(error, failure)
    told = await DATA_CONVERTER.decode_failure(failure)
    assert type(told) is kind
    assert (str(told), told.__dict__) == (str(error), error.__dict__)


def test_only_what_may_help_is_tried_again() -> None:
    """Retryability is the class of the error, and nothing else."""
    retried = {name for name, kind in KINDS.items() if not to_failure_error(an_error(kind)).non_retryable}
    assert retried == {"Transient", "Unreachable", "NotConverged", "StorageFull", "TooOften"}
