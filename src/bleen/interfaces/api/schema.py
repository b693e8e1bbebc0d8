"""The description of the API (OpenAPI 3.1), from the types that the routes read and answer: exact, closed, tagged."""

import re
from collections.abc import Iterator, Sequence
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
from litestar import Request, Response
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.response import Stream

from bleen.domain.codec import describe
from bleen.interfaces.problem import MEDIA_TYPE, ProblemDetails

_REF = "#/components/schemas/{name}"
_JSON = "application/json"


class Description(JsonRenderPlugin):
    """Puts our own schemas in the place of those that Litestar derives, which know no tags and no closed objects."""

    def __init__(self, path: str, routes: Sequence[HTTPRouteHandler]) -> None:
        super().__init__(path=path)
        self._routes = routes

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the description as JSON."""
        return super().render(request, complete(openapi_schema, self._routes))


def complete(document: dict[str, Any], routes: Sequence[HTTPRouteHandler]) -> dict[str, Any]:
    """Return ``document`` with the schemas of what ``routes`` read and answer, and the problem that any may answer."""
    told = [handler for handler in routes if handler.include_in_schema is not False]
    bodies = [(handler, _body(handler), _answer(handler)) for handler in told]
    kinds = [kind for _, *pair in bodies for kind in pair if kind is not None]
    schemas, components = msgspec.json.schema_components([*kinds, ProblemDetails], schema_hook=describe, ref_template=_REF)
    known = dict(zip(map(repr, kinds), schemas, strict=False))
    problem = {"description": "A problem, in the words of the command line.", "content": {MEDIA_TYPE: {"schema": schemas[-1]}}}
    for handler, body, answer in bodies:
        for operation in _operations(document, handler):
            operation["responses"].pop("400", None)
            operation["responses"]["default"] = problem
            if body is not None:
                operation["requestBody"] = {"required": True, "content": {_JSON: {"schema": known[repr(body)]}}}
            if answer is not None:
                operation["responses"][str(handler.status_code)]["content"] = {_JSON: {"schema": known[repr(answer)]}}
    document["components"]["schemas"] = components
    return document


def _operations(document: dict[str, Any], handler: HTTPRouteHandler) -> Iterator[dict[str, Any]]:
    for path in handler.paths:
        operations = document["paths"].get(re.sub(r"\{(\w+):\w+\}", r"{\1}", path), {})
        yield from (operations[method.lower()] for method in handler.http_methods if method.lower() in operations)


def _body(handler: HTTPRouteHandler) -> Any:
    kind = get_type_hints(handler.fn, include_extras=True).get("data")
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _answer(handler: HTTPRouteHandler) -> Any:
    kind = get_type_hints(handler.fn)["return"]
    kind = get_args(kind)[0] if get_origin(kind) is Response else kind
    return None if kind in (str, NoneType, Stream) else kind
