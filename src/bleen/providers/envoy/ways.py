"""The routes of one virtual host: which requests go which way. Pure.

Envoy takes the first way that matches. Those of a service are, in this order: what asks for a release by name, the
cohorts, and the split; where the split is sticky, first of the users who have a cookie, then of those who have none.
A baseline fleet is one more cluster of the split, and the name ``baseline``.
"""

import re
from collections.abc import Sequence
from typing import Any

from bleen.domain.codec import Value
from bleen.domain.listing import backend_of
from bleen.domain.traffic import WHOLE, Cohort, Colour, CookieCohort, HeaderCohort, Mirror, Route, Sticky

Json = dict[str, Any]
TYPE = "type.googleapis.com/"
RELEASE_HEADER = "x-bleen-release"
BASELINE = "baseline"
"""In place of a release in that header: the baseline fleet."""
MIRROR_HEADER = "x-bleen-mirror"
"""On copies only, with the release that gets them."""
COPY_TO = "x-bleen-copy-to"
"""On requests of the colour that is mirrored: Envoy reads from it where the copy goes."""
COPY_PATIENCE = 15
"""Seconds for the answer to a copy. Ways have no limit, for the sake of streams: those of a mute instance would pile up."""
SAFE = ("GET", "HEAD", "OPTIONS")


def _header(name: str, match: Json) -> Json:
    return {"name": name, "string_match": match}


def live(route: Route) -> list[Json]:
    """Return the ways of the requests to the service's own hosts."""
    return [*_asked(route), *_cohorts(route), *_split(route)]


def preview(route: Route) -> list[Json]:
    """Return the ways of the requests to its preview hosts."""
    if route.preview is None or route.release(route.preview) is None:
        return [*_asked(route), answer(404, f"{route.service} has no preview now")]
    return [*_asked(route), *_whole(route, route.preview, {})]


def answer(status: int, sentence: str) -> Json:
    """Return the way to an answer of the gateway itself."""
    body = {"inline_string": f"bleen: {sentence}\n"}
    return {"match": {"prefix": "/"}, "direct_response": {"status": status, "body": body}}


def _asked(route: Route) -> list[Json]:
    ways: list[Json] = []
    for colour in Colour:
        release = route.release(colour)
        if release is not None:
            asked = _header(RELEASE_HEADER, {"safe_regex": {"regex": f"{colour}|r{release}"}})
            ways += _whole(route, colour, {"headers": [asked]})
    if route.baseline is not None:
        asked = _header(RELEASE_HEADER, {"exact": BASELINE})
        beside = Portion(route.baseline.colour, WHOLE, baseline=True)
        ways += _Traffic(route, (beside,)).ways({"headers": [asked]})
    slots = ", ".join(f"{c} holds {_slot(route, c)}" for c in Colour)
    refusal = answer(404, f"{route.service} has no such release here: {slots}")
    refusal["match"]["headers"] = [{"name": RELEASE_HEADER, "present_match": True}]
    return [*ways, refusal]


def _slot(route: Route, colour: Colour) -> str:
    release = route.release(colour)
    return "nothing" if release is None else f"r{release}"


def _cohorts(route: Route) -> list[Json]:
    colour = route.preview
    if colour is None or route.release(colour) is None:
        return []
    return [way for cohort in route.cohorts for way in _whole(route, colour, _member(cohort))]


def _member(cohort: Cohort) -> Json:
    match cohort:
        case HeaderCohort(name, value):
            return {"headers": [_header(name.lower(), {"exact": value})]}
        case CookieCohort(name, value):
            return {"cookies": [{"name": name, "string_match": {"exact": value}}]}


def _whole(route: Route, colour: Colour, match: Json) -> list[Json]:
    return _Traffic(route, (Portion(colour, WHOLE),)).ways(match)


class Portion(Value, frozen=True):
    """What one fleet has of the requests that go a way: that in ``colour``, or the baseline fleet beside it."""

    colour: Colour
    weight: int
    baseline: bool = False


def _portions(route: Route, *colours: Colour) -> tuple[Portion, ...]:
    """Return what the fleets in ``colours`` have, in that order, and last the baseline fleet."""
    filled = [Portion(colour, route.carries(colour)) for colour in colours if route.release(colour) is not None]
    apart = [Portion(route.baseline.colour, route.baseline.share, baseline=True)] if route.baseline else []
    return (*filled, *apart)


def _split(route: Route) -> list[Json]:
    filled = _portions(route, *Colour)
    refusal = answer(503, f"no release of {route.service} serves yet")
    served = sum(each.weight for each in filled)
    if not served:
        return [refusal]
    if route.sticky is not None and all(route.release(c) is not None and route.split.weight(c) for c in Colour):
        return _sticky(route, route.sticky)
    ways = _Traffic(route, filled, _mirror(route)).ways({})
    if served < WHOLE:  # an empty slot has the rest of the weight, and nobody to serve it
        share = {"numerator": WHOLE - served, "denominator": "TEN_THOUSAND"}
        refusal["match"]["runtime_fraction"] = {"default_value": share}
        return [refusal, *ways]
    return ways


def _sticky(route: Route, sticky: Sticky) -> list[Json]:
    """Return the ways of users who have the cookie, and of those who are given one.

    Envoy makes no cookie for the choice among weighted clusters. So a newcomer is placed by the id that each request
    has, and gets that id as the cookie: the next request is placed by the same hash of the same text.
    """
    # Envoy counts its intervals from the first cluster on: what it grows by is taken from the second. What a baseline
    # fleet grows by, as the third, is too, from the other end.
    traffic = _Traffic(route, _portions(route, sticky.first, sticky.first.other), _mirror(route))
    salt = _salt(f"r{route.release(sticky.first)}")
    known = traffic.ways(
        {"cookies": [{"name": sticky.cookie, "string_match": {"safe_regex": {"regex": ".+"}}}]},
        [{"cookie": {"name": sticky.cookie}}, salt],
    )
    new = traffic.ways({}, [{"header": {"header_name": "x-request-id"}}, salt])
    return [*known, *(way | _given_cookie(sticky) for way in new)]


def _salt(release: str) -> Json:
    """Return a constant for the hash, so that it is not the same users who are the first to get every release."""
    rewrite = {"pattern": {"regex": "^.*$"}, "substitution": release}
    return {"header": {"header_name": ":method", "regex_rewrite": rewrite}}


def _given_cookie(sticky: Sticky) -> Json:
    if not sticky.lifetime:
        return {}
    name = sticky.cookie.replace("%", "%%")  # Envoy refuses the whole file where a % begins no command
    cookie = f"{name}=%REQ(x-request-id)%; Max-Age={sticky.lifetime}; Path=/; HttpOnly; SameSite=Lax"
    header = {"header": {"key": "set-cookie", "value": cookie}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}
    return {"response_headers_to_add": [header]}


def _mirror(route: Route) -> Mirror | None:
    if route.mirror is None or not route.mirror.share or route.preview is None or route.release(route.preview) is None:
        return None
    return route.mirror


class _Traffic(Value, frozen=True):
    """Requests that go to fleets by weight, copied where ``mirror`` says so."""

    route: Route
    portions: tuple[Portion, ...]
    mirror: Mirror | None = None

    def ways(self, match: Json, hashed: Sequence[Json] = ()) -> list[Json]:
        """Return the ways of the requests that ``match``, in groups of methods that are treated alike."""
        copied = self.mirror.methods if self.mirror else ()
        safe, other = [m for m in SAFE if m in copied], [m for m in copied if m not in SAFE]
        return [
            *([self._way(match, safe, hashed, copied=True)] if safe else []),
            self._way(match, SAFE, hashed),
            *([self._way(match, other, hashed, copied=True)] if other else []),
            self._way(match, (), hashed),
        ]

    def _way(self, match: Json, methods: Sequence[str], hashed: Sequence[Json], *, copied: bool = False) -> Json:
        headers = list(match.get("headers", []))
        action: Json = {"weighted_clusters": self._clusters(copied), "timeout": "0s"}
        if methods:
            headers.append(_header(":method", {"safe_regex": {"regex": "|".join(map(re.escape, methods))}}))
        if methods and methods[0] in SAFE:
            action["retry_policy"] = retries(SAFE_RETRIES)
        if hashed:
            action["weighted_clusters"]["use_hash_policy"] = True
            action["hash_policy"] = list(hashed)
        if copied:
            headers += [_NO_UPGRADE, _SHORT_OR_NO_BODY if methods[0] in SAFE else _SHORT_BODY]
            action["request_mirror_policies"] = [self._copies()]
        return {"match": {"prefix": "/", **match, "headers": headers}, "route": action}

    def _clusters(self, copied: bool) -> Json:
        return {"clusters": [self._cluster(portion, copied) for portion in self.portions]}

    def _cluster(self, portion: Portion, copied: bool) -> Json:
        colour = portion.colour
        cluster: Json = {
            "name": backend_of(self.route, colour, baseline=portion.baseline),
            "weight": portion.weight,
            "response_headers_to_add": [_set_header(RELEASE_HEADER, f"r{self.route.release(colour)}")],
        }
        if copied and self.route.preview is not None:
            # The colour is chosen within the way, and only the one that is not the preview is to be copied.
            if colour is self.route.preview:
                cluster["request_headers_to_remove"] = [COPY_TO]
            else:
                cluster["request_headers_to_add"] = [_set_header(COPY_TO, backend_of(self.route, self.route.preview))]
        return cluster

    def _copies(self) -> Json:
        assert self.mirror and self.route.preview
        marks = {MIRROR_HEADER: f"r{self.route.release(self.route.preview)}", _PATIENCE_HEADER: str(COPY_PATIENCE * 1000)}
        return {
            "cluster_header": COPY_TO,
            "runtime_fraction": {"default_value": {"numerator": self.mirror.share, "denominator": "TEN_THOUSAND"}},
            "request_headers_mutations": [
                {"remove": COPY_TO},
                *({"append": _set_header(name, value)} for name, value in marks.items()),
            ],
        }


_PATIENCE_HEADER = "x-envoy-upstream-rq-timeout-ms"
_NO_UPGRADE: Json = {"name": "upgrade", "present_match": True, "invert_match": True}
"""A websocket cannot be copied."""

# Envoy reads a request no faster than the one who gets the copy: where that one stops reading, an upload of more than
# Envoy's buffers (1 MiB) stands still for ever (seen: 10 MB). So only what is known to be shorter than 100 kB is copied.
_SHORT_BODY = _header("content-length", {"safe_regex": {"regex": "[0-9]{1,5}"}})
_SHORT_OR_NO_BODY = _header("content-length", {"safe_regex": {"regex": "[0-9]{0,5}"}}) | {"treat_missing_header_as_empty": True}

SAFE_RETRIES = "connect-failure,refused-stream,reset"
OTHER_RETRIES = "connect-failure,refused-stream,reset-before-request"
"""Only what no instance can have begun to process."""


def retries(retry_on: str) -> Json:
    """Return how requests are tried again, at another instance where there is one."""
    kind = TYPE + "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    other_host = {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {"@type": kind}}
    return {
        "retry_on": retry_on,
        "num_retries": 3,
        "retry_host_predicate": [other_host],
        "host_selection_retry_max_attempts": 16,
        "retry_back_off": {"base_interval": "0.002s", "max_interval": "0.05s"},
    }


def _set_header(key: str, value: str) -> Json:
    return {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
