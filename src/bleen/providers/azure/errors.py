"""What Azure says, in Bleen's words: the only place where errors of its SDK become ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError, ServiceResponseError

from bleen.domain.errors import (
    BleenError,
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    StartFailed,
    Transient,
    Unreachable,
)

_QUOTA = {"QuotaExceeded", "OperationNotAllowed"}
_NO_ROOM = {"AllocationFailed", "ZonalAllocationFailed", "OverconstrainedAllocationRequest", "SkuNotAvailable"}
_NO_ROOM |= {"OverconstrainedZonalAllocationRequest"}


@contextmanager
def speaking(what: str) -> Iterator[None]:
    """Raise what Azure says against ``what`` as an error of ours."""
    try:
        yield
    except AzureError as error:
        raise translate(what, error) from error


def translate(what: str, error: AzureError) -> BleenError:
    """Return ``error`` in our words; ``what`` is what was tried: ``read the scale sets``."""
    if isinstance(error, HttpResponseError) and error.status_code is not None:
        return refused(what, error.status_code, _code(error), _message(error))
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return Unreachable(f"Azure did not answer: could not {what}", why=_message(error), next="bleen azure smoke")
    return Unreachable(f"could not {what}", why=f"{type(error).__name__}: {_message(error)}", next="bleen azure smoke")


def refused(what: str, status: int, code: str, why: str) -> BleenError:
    """Return the error of an answer, or of an operation that failed (``status`` 0)."""
    said = f"{code}: {why}" if code and not why.startswith(code) else why
    if (code in _QUOTA and "quota" in why.lower()) or code == "QuotaExceeded":
        return StartFailed(f"Azure refused to {what}", why=said, next="ask for more quota: az vm list-usage")
    if code in _NO_ROOM:
        next = "it is tried again; another size or zone may have room (az vm list-skus)"
        return Transient(f"Azure has no room to {what}", why=said, next=next)
    kinds: dict[int, tuple[type[BleenError], str]] = {
        400: (InvalidInput, ""),
        401: (Forbidden, "az login, or give the controller its managed identity"),
        403: (Forbidden, "give the identity its role: modules/identity does"),
        404: (NotFound, "terraform apply makes it; the names are in docs/azure.md"),
        409: (Conflict, "try again when what is under way has ended"),
        412: (Conflict, "somebody else changed it: try again"),
        429: (Unreachable, "it is throttling: try again later"),
    }
    kind, next = kinds.get(status, (Unreachable, "bleen azure smoke"))
    return kind(f"could not {what}", why=said, next=next)


def word(said: object) -> str:
    """Return a word of Azure's as it is on the wire: members of the SDK's enumerations print as their names."""
    return str(getattr(said, "value", said) or "")


def _code(error: HttpResponseError) -> str:
    storage = getattr(error, "error_code", None)  # of blobs: their bodies are XML
    return word((error.error.code if error.error else None) or storage)


def _message(error: AzureError) -> str:
    said = error.error.message if isinstance(error, HttpResponseError) and error.error else error.message
    return str(said or type(error).__name__).splitlines()[0]
