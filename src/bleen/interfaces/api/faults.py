"""Errors as RFC 9457 problems, with the words of the command line."""

import logging
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.response.base import ASGIResponse

from bleen.domain.errors import BleenError, InvalidInput, TooOften
from bleen.interfaces.problem import MEDIA_TYPE, ProblemDetails, problem_of

log = logging.getLogger(__name__)
AnyRequest = Request[Any, Any, Any]


def answer(problem: ProblemDetails) -> Response[bytes]:
    """Return ``problem`` as a response."""
    return Response(content=msgspec.json.encode(problem), status_code=problem.status, media_type=MEDIA_TYPE)


def refuse(status: int, what: str, next: str, why: str = "") -> ASGIResponse:
    """Return a refusal for a caller that got no further than the door."""
    problem = _invalid(status, what, why=why, next=next)
    headers = {"www-authenticate": "Bearer"} if status == 401 else {}
    return ASGIResponse(body=msgspec.json.encode(problem), status_code=status, media_type=MEDIA_TYPE, headers=headers)


def refuse_for(error: BleenError) -> ASGIResponse:
    """Return ``error`` for a caller at the door."""
    problem = problem_of(error)
    headers = {"retry-after": str(error.wait)} if isinstance(error, TooOften) else {}
    return ASGIResponse(body=msgspec.json.encode(problem), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def known(_: AnyRequest, error: BleenError) -> Response[bytes]:
    """Answer an error of ours."""
    return answer(problem_of(error))


def malformed(_: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Answer a request that did not reach any code of ours: wrong path, wrong method, wrong body."""
    details = "; ".join(_detail(e) for e in error.extra) if isinstance(error.extra, list) else ""
    return answer(_invalid(error.status_code, error.detail or "the request is wrong", why=details, next="GET /schema"))


def unforeseen(request: AnyRequest, error: Exception) -> Response[bytes]:
    """Answer an error that nobody foresaw, and log it whole."""
    log.exception("%s %s failed", request.method, request.url.path, exc_info=error)
    what = f"the controller failed: {type(error).__name__}"
    return answer(problem_of(BleenError(what, why=str(error), next="bleen doctor")))


FAULTS: dict[Any, Any] = {BleenError: known, HTTPException: malformed, Exception: unforeseen}
"""What answers which exception."""


def _invalid(status: int, what: str, *, why: str = "", next: str = "") -> ProblemDetails:
    return msgspec.structs.replace(problem_of(InvalidInput(what, why=why, next=next)), status=status)


def _detail(extra: Any) -> str:
    return f"{extra.get('key', '')}: {extra.get('message', '')}".strip(": ") if isinstance(extra, dict) else str(extra)
