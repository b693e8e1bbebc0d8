"""Traces over OTLP, told to a real receiver."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from bleen.domain.errors import InvalidInput
from bleen.domain.trace import Span
from tests.contracts.traces import PART, WHOLE, TracesContract
from tests.fixtures.otlp import Receiver, receiver

otlp = pytest.importorskip("bleen.providers.otlp", reason="the extra `trace` is missing")


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver that OpenTelemetry's own variables name."""
    with receiver() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20eA==")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "host.name=here")
        yield found


class TestOtlpTraces(TracesContract):
    @pytest.fixture
    def traces(self, collector: Receiver, tmp_path: Path) -> object:
        return otlp.OtlpTraces(tmp_path / "traces.json", "dev")

    @pytest.fixture
    def arrived(self, collector: Receiver) -> Callable[[], Sequence[Span]]:
        return lambda: collector.spans

    @pytest.fixture
    def broken(self, collector: Receiver) -> Callable[[], None]:
        return lambda: setattr(collector, "status", 400)


async def test_the_variables_of_opentelemetry_count(collector: Receiver, tmp_path: Path) -> None:
    """Where to, with which headers, and what is said of us."""
    await otlp.OtlpTraces(tmp_path / "traces.json", "dev").tell([PART], 1)
    assert (collector.paths, collector.headers["authorization"]) == (["/v1/traces"], "Basic eA==")
    said = {"service.name": "bleen", "deployment.environment.name": "dev", "host.name": "here"}
    assert said.items() <= collector.resources[0].items()


async def test_a_controller_that_is_started_again_goes_on(collector: Receiver, tmp_path: Path) -> None:
    """A broken bookmark tells all of it again, which is no harm."""
    file = tmp_path / "traces.json"
    await otlp.OtlpTraces(file, "dev").tell([WHOLE], 7)
    assert await otlp.OtlpTraces(file, "dev").told() == 7
    file.write_text("{")
    assert await otlp.OtlpTraces(file, "dev").told() == 0


async def test_a_long_rollout_is_told_in_parts(collector: Receiver, tmp_path: Path) -> None:
    """No request is larger than OpenTelemetry's own."""
    await otlp.OtlpTraces(tmp_path / "traces.json", "dev").tell([PART] * 1300, 7)
    assert (len(collector.paths), len(collector.spans)) == (3, 1300)


def test_another_protocol_is_refused(tmp_path: Path) -> None:
    """Rather than spoken wrongly."""
    with pytest.raises(InvalidInput, match="grpc"):
        otlp.OtlpTraces(tmp_path / "traces.json", "dev", {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})


def test_nothing_heavy_is_loaded_where_nothing_is_configured() -> None:
    """The controller has a goal for its memory: neither OpenTelemetry nor OpenID Connect is in it for nothing."""
    code = "import sys, bleen.app.controller; print(*sorted(m for m in sys.modules if m in %r))"
    heavy = ("opentelemetry", "opentelemetry.sdk", "requests", "authlib", "joserfc")
    ended = subprocess.run([sys.executable, "-c", code % (heavy,)], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout.split()) == (0, []), ended
