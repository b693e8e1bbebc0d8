"""Rendering is pure, exact, and can be read back."""

from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bleen.domain.codec import encode
from bleen.domain.listing import Listing, reached
from bleen.domain.traffic import (
    WHOLE,
    Backend,
    Colour,
    CookieCohort,
    Endpoint,
    HeaderCohort,
    Mirror,
    Route,
    Split,
    Sticky,
)
from bleen.providers.envoy.admin import ClusterConfig, RouteConfig
from bleen.providers.envoy.place import Place
from bleen.providers.envoy.render import bootstrap, clusters, listeners, routes
from bleen.providers.envoy.ways import live

PLACE = Place("local", Path("/home/gateway/local"), Path("/run/local.sock"), 8080)
releases = st.none() | st.integers(1, 10**6)
splits = st.integers(0, WHOLE).map(lambda weight: Split.of(Colour.BLUE, weight))
names = st.from_regex(r"[a-z][a-z0-9-]{0,10}[a-z0-9]", fullmatch=True)

tokens = st.from_regex(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,8}", fullmatch=True)
cohorts = st.lists(st.builds(HeaderCohort, tokens, tokens) | st.builds(CookieCohort, tokens, tokens), max_size=3).map(tuple)
methods = st.lists(st.sampled_from(["GET", "HEAD", "OPTIONS", "POST", "PUT"]), min_size=1, unique=True).map(tuple)
mirrors = st.none() | st.builds(Mirror, st.integers(0, WHOLE), methods)
stickies = st.none() | st.builds(Sticky, tokens, st.integers(0, 10**6), st.sampled_from(Colour))
previews = st.none() | st.sampled_from(Colour)


@st.composite
def listings(draw: st.DrawFn) -> list[Listing]:
    """Some services, each with hosts of its own."""
    found = []
    for service in draw(st.lists(names, max_size=4, unique=True)):
        hosts = tuple(f"{label}.{service}.example" for label in draw(st.lists(names, min_size=1, max_size=3, unique=True)))
        filled = (draw(splits), draw(releases), draw(releases), draw(previews))
        route = Route("dev", service, hosts, *filled, draw(cohorts), draw(mirrors), draw(stickies))
        found.append(Listing("dev", service, draw(st.integers(0, 2**53)), draw(st.sampled_from([route, None]))))
    return found


def resource(file: dict[str, Any]) -> Any:
    """Return the one resource of a file, as Envoy would read it."""
    (only,) = msgspec.json.decode(encode(file))["resources"]
    return only


def weighted(file: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Return the weighted clusters of every way."""
    ways = [way for host in resource(file)["virtual_hosts"] for way in host["routes"]]
    return [way["route"]["weighted_clusters"]["clusters"] for way in ways if "route" in way]


@given(listings())
def test_a_route_is_read_back_as_it_was_set(found: list[Listing]) -> None:
    """Rendering and reading back is identity, for any set of services."""
    config = msgspec.convert(resource(routes(found, {}, "1")), RouteConfig)
    assert config.listings() == {each.key: each for each in found}


@given(listings())
def test_the_order_of_services_changes_nothing(found: list[Listing]) -> None:
    """The same services give the same file."""
    assert routes(found, {}, "1") == routes(found[::-1], {}, "1")


@given(listings())
def test_no_two_virtual_hosts_share_a_domain(found: list[Listing]) -> None:
    """Envoy refuses the whole file where two do."""
    ports = {each.key: 8100 + n for n, each in enumerate(found)}
    domains = [domain for host in resource(routes(found, ports, "1"))["virtual_hosts"] for domain in host["domains"]]
    assert len(domains) == len(set(domains))


@given(splits, releases, releases, mirrors, stickies)
def test_every_hundredth_of_a_percent_goes_somewhere(
    split: Split, blue: int | None, green: int | None, mirror: Mirror | None, sticky: Sticky | None
) -> None:
    """Weights and the share that is answered 503 sum to 10,000, each colour with the weight of the split."""
    route = Route("dev", "hello", ("h",), split, blue, green, mirror=mirror, sticky=sticky)
    main = resource(routes([Listing("dev", "hello", 1, route)], {}, "1"))["virtual_hosts"][0]
    ways = [way for way in main["routes"] if not any(h["name"] == "x-bleen-release" for h in way["match"].get("headers", []))]
    refused = [way["match"].get("runtime_fraction") for way in ways if "direct_response" in way]
    empty = sum(WHOLE if share is None else share["default_value"]["numerator"] for share in refused)
    for way in (way for way in ways if "route" in way):
        weights = {each["name"]: each["weight"] for each in way["route"]["weighted_clusters"]["clusters"]}
        assert sum(weights.values()) + empty == WHOLE
        assert {name: weight for name, weight in weights.items() if weight}.keys() == set(reached(route))
    assert empty == sum(split.weight(colour) for colour in Colour if route.release(colour) is None)


@given(listings())
def test_no_weights_sum_to_nothing(found: list[Listing]) -> None:
    """Envoy refuses weighted clusters that sum to zero, and keeps the old routes."""
    assert all(sum(each["weight"] for each in ways) > 0 for ways in weighted(routes(found, {}, "1")))


@given(listings())
def test_a_request_that_is_served_finds_a_way_whatever_its_method(found: list[Listing]) -> None:
    """Each condition of headers and cookies ends with a way for all methods: no request falls through to the next one."""
    for host in resource(routes(found, {}, "1"))["virtual_hosts"]:
        served = [way["match"] for way in host["routes"] if "route" in way]
        asked = [(_without_method(match), any(h["name"] == ":method" for h in match["headers"])) for match in served]
        for condition, _ in asked:
            last = [by_method for other, by_method in asked if other == condition][-1]
            assert not last


def _without_method(match: dict[str, Any]) -> dict[str, Any]:
    own = [header for header in match["headers"] if header["name"] not in (":method", "upgrade", "content-length")]
    return match | {"headers": own}


@given(splits, mirrors, stickies, cohorts, previews)
def test_only_the_split_is_copied_and_only_by_methods_that_are_named(
    split: Split, mirror: Mirror | None, sticky: Sticky | None, cohorts: Any, preview: Colour | None
) -> None:
    """To the preview's backend, and never a websocket; no request that asks for a release, and no cohort's."""
    route = Route("dev", "hello", ("h",), split, 1, 2, preview, cohorts, mirror, sticky)
    copying = [way for way in live(route) if "request_mirror_policies" in way.get("route", {})]
    assert bool(copying) == bool(mirror and mirror.share and preview)
    for way in copying:
        headers = {header["name"]: header for header in way["match"]["headers"]}
        assert headers.keys() == {":method", "upgrade", "content-length"}
        assert set(headers[":method"]["string_match"]["safe_regex"]["regex"].split("|")) <= set(
            mirror.methods if mirror else ()
        )
        for cluster in way["route"]["weighted_clusters"]["clusters"]:
            told = [each["header"]["value"] for each in cluster.get("request_headers_to_add", [])]
            to_preview = preview is not None and cluster["name"].startswith(f"dev.hello.{preview}.")
            assert told == ([] if to_preview else [f"dev.hello.{preview}.r{route.release(preview or Colour.BLUE)}"])


@given(
    st.lists(
        st.builds(
            Backend,
            environment=st.just("dev"),
            service=names,
            colour=st.sampled_from(Colour),
            release=st.integers(1, 9999),
            endpoints=st.lists(
                st.builds(Endpoint, st.ip_addresses(v=4, network="127.0.0.0/8").map(str), st.integers(1, 65535)), max_size=3
            ).map(tuple),
            health_interval=st.floats(0.1, 60),
            health_timeout=st.floats(0.1, 60),
        ),
        max_size=4,
        unique_by=lambda each: each.name,
    )
)
def test_a_backend_is_read_back_as_it_was_set(backends: list[Backend]) -> None:
    """Rendering and reading back is identity."""
    found = msgspec.json.decode(encode(clusters(backends, "1")))["resources"]
    assert {each.backend() for each in msgspec.convert(found, list[ClusterConfig])} == set(backends)


def test_every_listener_reads_the_same_routes() -> None:
    """The shared port and the services' own differ in nothing but the port."""
    main, own = (each for each in listeners(PLACE, {"dev/hello": 8101}, "1")["resources"])
    assert main["filter_chains"] == own["filter_chains"]
    assert main["filter_chains"][0]["filters"][0]["typed_config"]["rds"]["route_config_name"] == "routes"


def test_the_bootstrap_names_no_port() -> None:
    """What changes is in files; the administration is on a socket that only its owner may open."""
    assert bootstrap(PLACE)["admin"]["address"]["pipe"] == {"path": "/run/local.sock", "mode": 0o600}
