"""Every error of the Azure SDK becomes one of ours, and says what to do where somebody can."""

from typing import Any

import pytest
from azure.core import exceptions
from azure.core.exceptions import AzureError, HttpResponseError

from bleen.domain.errors import (
    BleenError,
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    Permanent,
    StartFailed,
    Transient,
    Unreachable,
)
from bleen.providers.azure.errors import refused, speaking, translate
from bleen.providers.azure.gateway_report import GatewayReports
from bleen.providers.azure.site import Container
from tests.azure.double.cloud import Cloud
from tests.azure.world import azure


def every(kind: type[AzureError]) -> set[type[AzureError]]:
    return {kind} | {each for sub in kind.__subclasses__() for each in every(sub)}


def bare(kind: Any) -> AzureError:
    """Return an error as where nothing was answered: their own constructors ask for all kinds of things."""
    error: AzureError = kind.__new__(kind)
    AzureError.__init__(error, "it broke")
    if isinstance(error, HttpResponseError):
        error.status_code = error.error = None
    return error


@pytest.mark.parametrize("kind", sorted(every(AzureError), key=lambda each: each.__name__))
def test_no_error_of_the_sdk_gets_past_the_translation(kind: Any) -> None:
    """Whatever it is, what comes out is ours and names what was tried."""
    with pytest.raises(BleenError, match="read the sets"), speaking("read the sets"):
        raise bare(kind)


def test_there_are_as_many_kinds_as_the_sdk_says() -> None:
    """The test above has something to ask."""
    named = {each for each in vars(exceptions).values() if isinstance(each, type) and issubclass(each, AzureError)}
    assert len(named) > 15 and named <= every(AzureError)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "InvalidParameter", InvalidInput),
        (401, "ExpiredAuthenticationToken", Forbidden),
        (403, "AuthorizationFailed", Forbidden),
        (404, "ResourceNotFound", NotFound),
        (409, "Conflict", Conflict),
        (409, "AllocationFailed", Transient),
        (0, "ZonalAllocationFailed", Transient),
        (409, "QuotaExceeded", StartFailed),
        (412, "PreconditionFailed", Conflict),
        (429, "TooManyRequests", Unreachable),
        (500, "InternalServerError", Unreachable),
        (503, "ServerTimeout", Unreachable),
        (418, "Teapot", Unreachable),
    ],
)
def test_an_answer_says_whether_trying_again_can_help(status: int, code: str, kind: type[BleenError]) -> None:
    """By its status, and by its code where the status is not enough; each says what to do next."""
    error = refused("change a set", status, code, "because")
    assert type(error) is kind
    assert code in error.why
    assert error.next or kind is InvalidInput


def test_quota_is_told_from_other_conflicts() -> None:
    """Azure uses one code for both."""
    assert isinstance(refused("x", 409, "OperationNotAllowed", "exceeding approved Cores quota"), StartFailed)
    assert isinstance(refused("x", 409, "OperationNotAllowed", "another operation is under way"), Conflict)
    assert issubclass(StartFailed, Permanent)


async def test_codes_of_storage_are_told_as_they_are(cloud: Cloud) -> None:
    """The SDK has them as an enumeration."""
    there = azure(cloud)
    cloud.storage.away.add("all")
    with pytest.raises(Unreachable) as away:
        await GatewayReports(there.container(Container.GATEWAYS)).read()
    assert away.value.why.startswith("ServerBusy")
    await there.close()


def test_an_answer_without_a_body_is_translated_too() -> None:
    """A proxy answers as it likes."""
    error = HttpResponseError("Bad Gateway")
    error.status_code = 502
    assert isinstance(translate("read a set", error), Unreachable)
