"""The port `Traces` over OTLP: OpenTelemetry's own exporter, by HTTP. It reads ``OTEL_EXPORTER_OTLP_*`` itself.

Imported only where an endpoint is set.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from bleen import __version__
from bleen.domain.codec import Value, decode, encode
from bleen.domain.errors import InvalidInput, Unreachable
from bleen.domain.trace import Span
from bleen.providers.local.store import write_atomically

_SCOPE = InstrumentationScope("bleen", __version__)
_BATCH = 512
"""Spans in one request, as OpenTelemetry's own batches have."""


class _Bookmark(Value, frozen=True):
    upto: int


class OtlpTraces:
    """Remembers in ``file`` what was told: a controller that is started again tells the rest."""

    def __init__(self, file: Path, environment: str, environ: Mapping[str, str] = os.environ) -> None:
        of_all = environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or of_all
        if protocol != "http/protobuf":
            what = f"traces cannot be sent as {protocol}"
            raise InvalidInput(what, next="set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, or leave it out", where="environment")
        self._file = file
        self._exporter = OTLPSpanExporter()
        name = {} if environ.get("OTEL_SERVICE_NAME") else {"service.name": "bleen"}
        self._resource = Resource.create({"deployment.environment.name": environment, "service.version": __version__, **name})

    async def told(self) -> int:
        """See `bleen.ports.Traces`."""
        try:
            found: _Bookmark = decode(self._file.read_bytes(), _Bookmark)
        except (FileNotFoundError, msgspec.MsgspecError):  # told twice is no harm: the spans are the same
            return 0
        return found.upto

    async def tell(self, spans: Sequence[Span], upto: int) -> None:
        """See `bleen.ports.Traces`."""
        for first in range(0, len(spans), _BATCH):
            batch = [self._readable(span) for span in spans[first : first + _BATCH]]
            if await asyncio.to_thread(self._exporter.export, batch) is not SpanExportResult.SUCCESS:
                why = "the log of the controller has what its answer was"
                next = "look at OTEL_EXPORTER_OTLP_ENDPOINT; it is tried again"
                raise Unreachable("the collector of traces took nothing", why=why, next=next)
        write_atomically(self._file, encode(_Bookmark(upto)))

    def _readable(self, span: Span) -> ReadableSpan:
        return ReadableSpan(
            name=span.name,
            context=_context(span.trace, span.id),
            parent=_context(span.trace, span.parent) if span.parent else None,
            resource=self._resource,
            attributes=span.attributes,
            events=[Event(moment.name, moment.attributes, _nanoseconds(moment.at)) for moment in span.moments],
            kind=SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR, span.failed) if span.failed else Status(StatusCode.OK),
            start_time=_nanoseconds(span.started),
            end_time=_nanoseconds(span.ended),
            instrumentation_scope=_SCOPE,
        )


def _context(trace: str, span: str) -> SpanContext:
    return SpanContext(int(trace, 16), int(span, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1000
