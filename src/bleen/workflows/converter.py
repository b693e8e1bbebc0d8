"""How values and errors travel through the workflow engine: the domain's own codec, in one place, both ways.

The engine's default converter turned an ``Abort("5xx")`` into a ``Promote("5xx")`` (decision 0001). Here a value is
decoded as exactly the type that the receiver declares, and a missing or unknown tag is refused.
"""

import dataclasses
from typing import Any

import msgspec
from msgspec import structs
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.converter import (
    BinaryNullPayloadConverter,
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverter,
    EncodingPayloadConverter,
    JSONProtoPayloadConverter,
    PayloadConverter,
)
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from bleen.domain import codec
from bleen.domain.errors import BleenError, Transient
from bleen.domain.told import KINDS, Told, retell, tell


class TaggedPayloads(EncodingPayloadConverter):
    """Values as canonical JSON, exactly as in files, the ledger and the API."""

    @property
    def encoding(self) -> str:
        return "json/plain"

    def to_payload(self, value: Any) -> Payload | None:
        return Payload(metadata={"encoding": b"json/plain"}, data=codec.encode(value))

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        if type_hint is None:
            # The engine falls back to no type at all where a receiver's signature does not fit what was sent.
            raise TypeError(f"no receiver says what type this is: {payload.data[:200]!r}")
        return codec.decode(payload.data, type_hint)


class Payloads(CompositePayloadConverter):
    """Nothing, the engine's own protobufs, and ours."""

    def __init__(self) -> None:
        super().__init__(BinaryNullPayloadConverter(), JSONProtoPayloadConverter(), TaggedPayloads())


class _Untyped(EncodingPayloadConverter):
    """Plain values, for the details of failures, which nobody declares."""

    @property
    def encoding(self) -> str:
        return "json/plain"

    def to_payload(self, value: Any) -> Payload | None:
        return Payload(metadata={"encoding": b"json/plain"}, data=codec.encode(value))

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        return codec.decode(payload.data, Any if type_hint is None else type_hint)


def to_failure_error(error: BleenError) -> ApplicationError:
    """Return ``error`` as the engine's own; only a Transient one is worth another attempt."""
    told = tell(error)
    return ApplicationError(
        error.what,
        codec.plain(told),
        type=told.error,
        non_retryable=not isinstance(error, Transient),
        # Not a fault of the program: without this, the engine's client logs a stack trace for each.
        category=ApplicationErrorCategory.BENIGN,
    )


def to_domain_error(failure: ApplicationError) -> BleenError | None:
    """Return the domain error that ``failure`` carries; None where it is no error of ours."""
    if failure.type not in KINDS or len(failure.details) != 1:
        return None
    try:
        told: Told = codec.convert(failure.details[0], Told)
    except msgspec.ValidationError:
        return None
    return retell(structs.replace(told, error=failure.type))


class Failures(DefaultFailureConverter):
    """Domain errors keep their class, their words and their retryability."""

    _details = CompositePayloadConverter(BinaryNullPayloadConverter(), JSONProtoPayloadConverter(), _Untyped())

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        if isinstance(exception, BleenError):
            carried = to_failure_error(exception)
            # Its words say why; its causes may be the engine's own errors, which can lead back to itself.
            carried.__traceback__, carried.__suppress_context__ = exception.__traceback__, True
            exception = carried
        super().to_failure(exception, self._details, failure)

    def from_failure(self, failure: Failure, payload_converter: PayloadConverter) -> BaseException:
        error = super().from_failure(failure, self._details)
        domain = to_domain_error(error) if isinstance(error, ApplicationError) else None
        return domain or error


def domain_error(error: BaseException | None) -> BleenError | None:
    """Return the domain error in ``error`` or among its causes; None where there is none."""
    while error is not None and not isinstance(error, BleenError):
        error = error.__cause__
    return error


DATA_CONVERTER = dataclasses.replace(DataConverter.default, payload_converter_class=Payloads, failure_converter_class=Failures)
