"""Errors as they travel: RFC 9457 problems in the API, exit codes in the command line. The same words everywhere."""

from msgspec import Struct

from bleen.domain import errors
from bleen.domain.errors import BleenError
from bleen.domain.told import Told, kind_of, retell, tell

MEDIA_TYPE = "application/problem+json"


class ProblemDetails(Struct, frozen=True):
    """What went wrong. Open to further keys, so that an older command line can read a newer server."""

    type: str
    """A name for programs: ``urn:bleen:error:NotFound``."""
    title: str
    status: int
    error: str
    """The class of the error in `bleen.domain.errors`."""
    what: str
    why: str = ""
    next: str = ""
    where: str = ""
    """``file:line`` where a file is wrong."""
    law: int = 0
    """The law that would have been broken, if one."""


# Every leaf of the tree: HTTP status, exit code. A test fails on a class that is missing here.
_RANKS: dict[type[BleenError], tuple[int, int]] = {
    errors.Unreachable: (503, 3),
    errors.NotConverged: (504, 3),
    errors.TooOften: (429, 3),
    errors.StorageFull: (507, 3),
    errors.InvalidInput: (400, 2),
    errors.NotFound: (404, 2),
    errors.Forbidden: (403, 3),
    errors.BuildFailed: (422, 2),
    errors.ImageRejected: (422, 3),
    errors.ImageBlocked: (422, 1),
    errors.StartFailed: (500, 3),
    errors.PortTaken: (500, 3),
    errors.LawBroken: (409, 3),
    errors.Frozen: (409, 3),
    errors.StaleGeneration: (409, 3),
    errors.Moved: (412, 3),
    errors.NothingToDo: (409, 3),
    errors.AlreadyRunning: (409, 3),
}
_BRANCHES: dict[type[BleenError], tuple[int, int]] = {
    errors.Transient: (503, 3),
    errors.Permanent: (500, 3),
    errors.Conflict: (409, 3),
    errors.BleenError: (500, 3),
}


def problem_of(error: BleenError) -> ProblemDetails:
    """Return ``error`` as it travels."""
    told = tell(error)
    return ProblemDetails(
        type=f"urn:bleen:error:{told.error}",
        title=told.what,
        status=_rank(kind_of(error))[0],
        error=told.error,
        what=told.what,
        why=told.why,
        next=told.next,
        where=told.where,
        law=told.law,
    )


def error_of(problem: ProblemDetails) -> BleenError:
    """Return the error that ``problem`` was made from; a plain BleenError where its class is not known here."""
    told = Told(problem.what, problem.why, problem.next, problem.where, problem.law, problem.error)
    return retell(told) or BleenError(problem.what, why=problem.why, next=problem.next)


def exit_code(error: BleenError) -> int:
    """Return 1 for what was refused for what it is, 2 for what was typed or written wrong, 3 for the platform."""
    return _rank(kind_of(error))[1]


def _rank(kind: type[BleenError]) -> tuple[int, int]:
    return (_RANKS | _BRANCHES)[kind]
