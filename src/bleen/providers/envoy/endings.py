"""What Envoy counts of each user's request when it has ended: the configuration of its log, and the names of what it counts.

A cluster's own counters are dropped whenever the cluster changes. These belong to the listeners, which do not change:
`bleen.request` by backend, status code and response flags, and the histogram `bleen.latency` by backend.
"""

import re
from collections.abc import Sequence

from bleen.providers.envoy.ways import TYPE, Json

BACKEND_TAG = "bleen.backend"
"""The label of Prometheus, with an underscore, that says whose counters they are: ``dev.hello.green.r2``."""
REQUEST, LATENCY = "bleen.request", "bleen.latency"
FORGOTTEN = 3600
"""Seconds without a request after which Envoy forgets a counter, after twice as many at most: releases come and go."""

_LOGGER = "envoy.access_loggers.stats"
_BACKEND = {"name": BACKEND_TAG, "value_format": "%UPSTREAM_CLUSTER_RAW%"}
_REQUESTS: Json = {
    "stat": {
        "name": "request",
        "tags": [
            _BACKEND,
            {"name": "code", "value_format": "%RESPONSE_CODE%"},
            {"name": "flags", "value_format": "%RESPONSE_FLAGS%"},
        ],
    },
    "value_fixed": 1,
}
_LATENCIES: Json = {
    "stat": {"name": "latency", "tags": [_BACKEND]},
    "unit": "Milliseconds",
    # From the last byte that the client sent, retries included, to the last that the instance sent: not the client's part.
    "value_format": "%COMMON_DURATION(DS_RX_END:US_RX_END:ms)%",
}
_IS_ANSWER = (
    "response.code_details == 'via_upstream' && response.code != 101 && !('content-type' in response.headers "
    "&& response.headers['content-type'].startsWith('text/event-stream'))"
)
"""Answers that instances gave to their end. Streams of events and websockets last as long as their users stay."""


def access_log() -> list[Json]:
    """Return the log of a connection manager, which writes nothing and counts."""
    kind = TYPE + "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
    condition = {
        "name": "envoy.access_loggers.extension_filters.cel",
        "typed_config": {"@type": kind, "expression": _IS_ANSWER},
    }
    return [
        {"name": _LOGGER, "typed_config": _stats(counters=[_REQUESTS])},
        {"name": _LOGGER, "filter": {"extension_filter": condition}, "typed_config": _stats(histograms=[_LATENCIES])},
    ]


def _stats(**counted: list[Json]) -> Json:
    # Of the same name, so that all listeners count in one place, and a listener that goes takes nothing along.
    scope = {"prefix": "bleen", "sharing_name": "bleen", "enable_eviction": True}
    return {"@type": TYPE + "envoy.extensions.access_loggers.stats.v3.Config", "stats_scope": scope, **counted}


def pattern(backends: Sequence[str]) -> str:
    """Return the regular expression of the full names of all that is counted of ``backends``."""
    names = "|".join(map(re.escape, backends))
    return rf"bleen[.](request|latency)[.]bleen[.]backend[.]({names})([.]code[.].*)?"


def request_name(full: str) -> tuple[str, int, str] | None:
    """Return the backend, the status code and the response flags of a counter; None where it counts something else."""
    found = _REQUEST.fullmatch(full)
    return (found[1], int(found[2]), found[3]) if found else None


_REQUEST = re.compile(r"bleen\.request\.bleen\.backend\.(.+)\.code\.(\d+)\.flags\.(.*)")


def latency_name(backend: str) -> str:
    """Return the full name of the histogram of ``backend``."""
    return f"{LATENCY}.{BACKEND_TAG}.{backend}"
