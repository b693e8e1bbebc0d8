"""Azure Monitor's data plane, as far as metrics of Application Gateways are asked for.

From Microsoft's *Migrate from the metrics API to the getBatch API*, *Supported metrics for
Microsoft.Network/applicationgateways* and *Metrics for Application Gateway*. What was counted is shown some time later, and
until then in part; where nothing was counted there is no series, and of more than ``top`` the rest is left out without a word.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from tests.azure.double.edges import Edges
from tests.azure.double.faults import Refused

_NAMESPACE = "microsoft.network/applicationgateways"
_ID = re.compile(r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.Network/applicationGateways/([^/]+)", re.I)
_METRICS: Mapping[str, tuple[set[str], tuple[str, ...]]] = {
    "BackendResponseStatus": ({"Total"}, ("BackendServer", "BackendPool", "BackendHttpSetting", "HttpStatusGroup")),
    "BackendLastByteResponseTime": (
        {"Average", "Maximum"},
        ("Listener", "BackendServer", "BackendPool", "BackendHttpSetting"),
    ),
    "ResponseStatus": ({"Total"}, ("HttpStatusGroup",)),
}
"""By name: what they are aggregated to, and their dimensions."""
_REQUIRED = {"api-version", "metricnamespace", "metricnames", "starttime", "endtime"}
_KNOWN = {*_REQUIRED, "interval", "aggregation", "top", "orderby", "filter", "rollupby"}


@dataclass(frozen=True)
class Met:
    """Answers that a backend gave."""

    edge: str
    at: float
    seen: float
    """When it is shown, both in seconds since 1970."""
    dimensions: tuple[str, str, str]
    """Pool, server, class."""
    count: int = 1


@dataclass
class Monitor:
    """Counts what goes through the gateways."""

    edges: Edges
    grain: timedelta = timedelta(minutes=1)
    """What it tells at once, whatever is asked for."""
    lag: float = 0.0
    """Seconds after which it shows what it counted."""
    closed: bool = False
    """Whether the identity that asks lacks its role."""
    silent: bool = False
    """Whether it never answers."""
    port: str = ""
    """What it writes behind an address: nothing, or ``:8080``."""
    clock: Callable[[], float] = time.time
    asked: int = 0
    met: list[Met] = field(default_factory=list)

    def count(self, edge: str, pool: str, server: str, status: int, at: float | None = None, times: int = 1) -> None:
        """Count answers of a backend, now or at another time; those of the gateway itself are none."""
        now = self.clock()
        dimensions = (pool, f"{server}{self.port}", f"{status // 100}xx")
        self.met.append(Met(edge, now if at is None else at, now + self.lag, dimensions, times))

    async def answer(self, request: web.Request) -> web.Response:
        """POST /subscriptions/ID/metrics:getBatch."""
        self.asked += 1
        if self.silent:
            await asyncio.sleep(60)
        if request.method != "POST":
            raise Refused(405, "MethodNotAllowed")
        if self.closed:
            raise Refused(
                401, "AuthorizationFailed", "The client does not have authorization to perform action on the subscription"
            )
        query = {name.lower(): value for name, value in request.query.items()}
        if lacking := _REQUIRED - set(query):
            raise Refused(400, "BadRequest", f"Missing: {', '.join(sorted(lacking))}")
        if unknown := set(query) - _KNOWN:
            raise Refused(400, "BadRequest", f"Unknown: {', '.join(sorted(unknown))}")
        body = await request.json()
        if set(body) != {"resourceids"} or not 1 <= len(body["resourceids"]) <= 50:
            raise Refused(400, "BadRequest", "resourceids has 1 to 50 resources")
        _check(query)
        return web.json_response({"values": [self._of(id, query) for id in body["resourceids"]]})

    def _of(self, id: str, query: Mapping[str, str]) -> dict[str, Any]:
        found = _ID.fullmatch(id)
        if found is None or found[1] not in self.edges.all:
            raise Refused(404, "ResourceNotFound", f"The Resource '{id}' was not found")
        begin, end = (datetime.fromisoformat(query[name]) for name in ("starttime", "endtime"))
        metric = {
            "id": f"{id}/providers/Microsoft.Insights/metrics/{query['metricnames']}",
            "type": "Microsoft.Insights/metrics",
            "name": {"value": query["metricnames"], "localizedValue": query["metricnames"]},
            "displayDescription": "",
            "unit": "Count",
            "timeseries": self._series(found[1], begin, end)[: int(query.get("top", 10))],
            "errorCode": "Success",
        }
        return {
            "cost": 1,
            "starttime": _written(begin),
            "endtime": _written(end),
            "interval": f"PT{self.grain.total_seconds():g}S",
            "value": [metric],
            "namespace": _NAMESPACE,
            "resourceregion": "weu",
            "resourceid": id,
        }

    def _series(self, edge: str, begin: datetime, end: datetime) -> list[dict[str, Any]]:
        """Return one for each combination of dimensions; a grain without answers may be missing, or 0."""
        seconds, now = self.grain.total_seconds(), self.clock()
        told: dict[tuple[str, str, str], dict[float, int]] = {}
        for each in self.met:
            if each.edge == edge and begin.timestamp() <= each.at < end.timestamp() and each.seen <= now:
                points = told.setdefault(each.dimensions, {})
                grain = each.at // seconds * seconds
                points[grain] = points.get(grain, 0) + each.count
        names = ("backendpool", "backendserver", "httpstatusgroup")
        return [
            {
                "metadatavalues": [
                    {"name": {"value": name, "localizedValue": name}, "value": value}
                    for name, value in zip(names, dimensions, strict=True)
                ],
                "data": [_point(grain, points[grain]) for grain in sorted(points)] + [{"timeStamp": _written(end)}],
            }
            for dimensions, points in sorted(told.items())
        ]


def _point(grain: float, count: int) -> dict[str, Any]:
    return {"timeStamp": _written(datetime.fromtimestamp(grain, UTC)), "total": float(count)}


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _check(query: Mapping[str, str]) -> None:
    """Refuse what Azure knows no such metric, aggregation, interval or dimension of."""
    if query["metricnamespace"].lower() != _NAMESPACE:
        raise Refused(400, "BadRequest", f"Namespace {query['metricnamespace']} is none of the resource")
    if query["metricnames"] not in _METRICS:
        raise Refused(400, "BadRequest", f"Failed to find metric configuration for: {query['metricnames']}")
    aggregations, dimensions = _METRICS[query["metricnames"]]
    if not set(query.get("aggregation", "").split(",")) <= aggregations:
        raise Refused(400, "BadRequest", f"Metric does not support requested aggregation: {query.get('aggregation')}")
    if query.get("interval", "PT1M") != "PT1M":
        raise Refused(400, "BadRequest", f"Detected invalid time grain input: {query['interval']}")
    for part in query.get("filter", "").split(" and "):
        named = re.fullmatch(r"(\w+) eq '[^']+'", part)
        if named is None or named[1].lower() not in {each.lower() for each in dimensions}:
            combined = named[1] if named else part
            raise Refused(400, "BadRequest", f"Metric does not support requested dimension combination: {combined}")
