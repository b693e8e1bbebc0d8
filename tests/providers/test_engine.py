"""The embedded workflow engine as a process."""

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest

from bleen.domain.errors import InvalidInput, NotFound, Unreachable
from bleen.providers import engine as embedded
from bleen.providers.engine import Engine
from bleen.providers.local.parts import http_ready
from bleen.providers.locked import TAKEN
from bleen.settings import EngineAccess
from bleen.workflows.connection import RETENTION, connect, keep_history
from tests.fixtures.engine import RunningEngine, engine, free_port, own_engine

__all__ = ["engine", "own_engine"]


async def test_it_is_ready_when_its_namespace_answers(own_engine: RunningEngine) -> None:
    """And not before it runs, or after."""
    ready = http_ready(own_engine.engine.namespace_url)
    assert await ready()
    own_engine.kill()
    assert not await ready()
    own_engine.start()


def test_a_second_one_on_the_same_data_is_refused(engine: RunningEngine) -> None:
    """By a lock that dies with its holder: the server itself would start twice."""
    second = Engine(folder=engine.engine.folder, port=free_port(), http_port=free_port())
    ended = subprocess.run(embedded.command(second), capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == TAKEN
    assert "runs on this data already" in ended.stderr


def test_a_killed_one_leaves_no_lock(own_engine: RunningEngine) -> None:
    """It starts again on the same data at once."""
    own_engine.kill()
    own_engine.start()


async def test_it_keeps_what_has_ended_for_ninety_days(engine: RunningEngine) -> None:
    """Its own default is one day."""
    client = await engine.client()
    await keep_history(client)
    described = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
    kept = timedelta(seconds=described.config.workflow_execution_retention_ttl.seconds)
    assert kept == RETENTION == timedelta(days=90)


def test_it_listens_on_loopback_alone(engine: RunningEngine) -> None:
    """Whoever reaches it can drive it: it has no authentication."""
    assert engine.process is not None
    listening = _listening(engine.process.pid)
    assert listening
    assert all(address.startswith("127.") for address in listening)


def test_an_explicit_program_wins(tmp_path: Path) -> None:
    """And one that is not there is said, not replaced."""
    program = tmp_path / "temporal"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert embedded.find_binary(str(program)) == str(program)
    with pytest.raises(NotFound):
        embedded.find_binary(str(tmp_path / "none"))


async def test_an_engine_that_is_not_there_is_unreachable() -> None:
    """With its address, and what to do."""
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
        await connect(EngineAccess(address=f"127.0.0.1:{free_port()}"))


async def test_a_certificate_that_cannot_be_read_is_named() -> None:
    """By the variable that names it."""
    with pytest.raises(InvalidInput, match="BLEEN_ENGINE_TLS_CA"):
        await connect(EngineAccess(address="127.0.0.1:1", ca="/nowhere/ca.pem"))


def test_a_key_is_not_shown() -> None:
    """Settings may be printed."""
    assert "secret" not in repr(EngineAccess(address="cloud:7233", api_key="secret"))


def _listening(pid: int) -> list[str]:
    import psutil

    sockets = psutil.Process(pid).net_connections(kind="tcp")
    return [s.laddr.ip for s in sockets if s.status == psutil.CONN_LISTEN]
