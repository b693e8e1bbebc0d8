"""The tracer, over rollouts of a platform in memory: each one is told once, whatever happens to the collector."""

from datetime import timedelta

import pytest

from bleen.domain.duration import seconds
from bleen.domain.errors import Unreachable
from bleen.domain.ledger import Query, RolloutStarted
from bleen.domain.service import BlueGreen
from bleen.interfaces.client import Client
from bleen.providers.memory.traces import MemoryTraces
from bleen.workflows.tracer import Tracer
from tests.interfaces.estate import Estate
from tests.interfaces.test_api import request, until


def roll_out(client: Client, version: str) -> None:
    """Deploy, and wait until all of it is over."""
    client.deploy(request(version, strategy=BlueGreen(warm=seconds(0))))
    until(client, lambda v: v.progress is None and v.history[0].target.version == version)


def traces_of(estate: Estate) -> list[str]:
    """Return the ids of traces that the ledger has."""
    entries = estate.run(estate.ledger.read(Query(kinds=("rollout-started",))))
    return [entry.event.trace for entry in entries if isinstance(entry.event, RolloutStarted)]


def test_each_rollout_is_one_trace(estate: Estate, client: Client) -> None:
    """Its id is in the ledger; every span but the whole has the whole for a parent, and lies within what it says."""
    traces = MemoryTraces()
    tracer = Tracer(estate.ledger, traces)
    for version in ("1", "2"):
        roll_out(client, version)
    assert estate.run(tracer.tell()) == 4
    assert estate.run(tracer.tell()) == 0
    assert sorted({span.trace for span in traces.spans}) == sorted(traces_of(estate))
    for trace in traces_of(estate):
        spans = [span for span in traces.spans if span.trace == trace]
        wholes = [span for span in spans if not span.parent]
        assert [whole.name for whole in wholes] == ["rollout hello"]
        assert {span.parent for span in spans} == {"", wholes[0].id}
        assert len({span.id for span in spans}) == len(spans)
        assert all(timedelta() <= span.ended - span.started for span in spans)
        assert {"launch", "shift", "retire"} & {span.name for span in spans}


def test_a_collector_that_was_away_is_told_later(estate: Estate, client: Client) -> None:
    """Nothing is lost, and nothing of what it has is told again."""
    traces = MemoryTraces()
    tracer = Tracer(estate.ledger, traces)
    roll_out(client, "1")
    estate.run(tracer.tell())
    told = list(traces.spans)
    traces.answers = False
    roll_out(client, "2")
    with pytest.raises(Unreachable):
        estate.run(tracer.tell())
    assert traces.spans == told
    traces.answers = True
    estate.run(Tracer(estate.ledger, traces).tell())
    new = traces.spans[len(told) :]
    assert new and {span.trace for span in new} == {traces_of(estate)[1]}
