"""Bleen's routes and backends as Envoy's configuration, and back. Pure.

Each virtual host carries in its metadata the route and the generation that it was made from, each cluster its
backend: so what an Envoy *has* can be read from its own configuration dump, whoever wrote it and whenever.
"""

from collections.abc import Mapping, Sequence

from bleen.domain.codec import plain
from bleen.domain.listing import Listing
from bleen.domain.traffic import Backend
from bleen.providers.envoy.endings import BACKEND_TAG, FORGOTTEN, LATENCY, access_log
from bleen.providers.envoy.place import PROBE_PATH, Place, Probes
from bleen.providers.envoy.ways import MIRROR_HEADER, OTHER_RETRIES, TYPE, Json, answer, live, preview, retries

LISTENER = "envoy.config.listener.v3.Listener"
CLUSTER = "envoy.config.cluster.v3.Cluster"
ROUTES = "envoy.config.route.v3.RouteConfiguration"

MAIN_LISTENER = "main"
PROBED = "probed"
"""The virtual host by whose name it is asked whether an Envoy is well."""
TOLD_HOSTS = 20
"""So many host names are told to a request that has a wrong one."""


def discovery(version: str, kind: str, resources: Sequence[Json]) -> Json:
    """Return the content of a file of ``resources``."""
    return {"version_info": version, "resources": [{"@type": TYPE + kind, **r} for r in resources]}


def routes(listings: Sequence[Listing], ports: Mapping[str, int], version: str, probes: Probes | None = None) -> Json:
    """Return the routes file: one virtual host per service, one per preview, and the answer to all other hosts.

    ``ports`` maps the key of a service to the port of its own; with ``probes`` it says that it is well.
    """
    hosts = [_virtual_host(PROBED, _domains([probes.name]), [_WELL, answer(404, f"ask for {PROBE_PATH}")])] if probes else []
    for listing in sorted(listings, key=lambda each: each.key):
        hosts += _virtual_hosts(listing, ports.get(listing.key))
    unknown = _unknown_host(listings, probes)
    # Envoy keeps the old version_info where nothing else has changed, and the write would seem lost.
    unknown["metadata"] = {"filter_metadata": {"bleen.file": {"version": version}}}
    config = {"name": "routes", "virtual_hosts": [*hosts, unknown]}
    return discovery(version, ROUTES, [config])


def _virtual_hosts(listing: Listing, port: int | None) -> list[Json]:
    route = listing.route
    if route is None:
        nowhere = f"{listing.environment}.{listing.service}.removed.invalid"
        return [_virtual_host(listing.key, [nowhere], [answer(404, f"{listing.service} is not deployed here")], listing)]
    own = [f"*:{port}"] if port else []
    previews = _domains([f"preview.{host}" for host in route.hosts])
    return [
        _virtual_host(listing.key, [*_domains(route.hosts), *own], live(route), listing),
        _virtual_host(f"{listing.key}/preview", previews, preview(route)),
    ]


def _virtual_host(name: str, domains: Sequence[str], ways: Sequence[Json], listing: Listing | None = None) -> Json:
    host: Json = {
        "name": name,
        "domains": list(domains),
        "routes": list(ways),
        "retry_policy": retries(OTHER_RETRIES),
        "request_headers_to_remove": [MIRROR_HEADER],  # on a copy it is to be believed
    }
    if listing is not None:
        host["metadata"] = {"filter_metadata": {"bleen": plain(listing)}}
    return host


def _domains(hosts: Sequence[str]) -> list[str]:
    return [domain for host in hosts for domain in (host.lower(), f"{host.lower()}:*")]


_WELL: Json = {"match": {"path": PROBE_PATH}, "direct_response": {"status": 200}}


def _unknown_host(listings: Sequence[Listing], probes: Probes | None) -> Json:
    hosts = sorted({host for each in listings if each.route for host in each.route.hosts})
    more = ", ..." if len(hosts) > TOLD_HOSTS else ""
    known = f"these do: {', '.join(hosts[:TOLD_HOSTS])}{more}" if hosts else "no service is deployed yet"
    ways = [answer(404, f"no service answers to this host name; {known}")]
    if probes:
        # Envoy appends its client's address to this header: alone it is there only where nobody stands between.
        directly = {"name": "x-forwarded-for", "string_match": {"exact": probes.source}}
        ways.insert(0, {**_WELL, "match": {"path": PROBE_PATH, "headers": [directly]}})
    return _virtual_host("unknown", ["*"], ways)


def clusters(backends: Sequence[Backend], version: str) -> Json:
    """Return the clusters file, endpoints included.

    Not by endpoint discovery, which needs a file and an inotify instance per cluster: at the usual limit of 128
    instances a user, Envoy aborts. A changed cluster is warmed beside the old one, and requests under way finish.
    """
    return discovery(version, CLUSTER, [_cluster(b) for b in sorted(backends, key=lambda each: each.name)])


def _cluster(backend: Backend) -> Json:
    return {
        "name": backend.name,
        "type": "STATIC",
        "metadata": {"filter_metadata": {"bleen": plain(backend)}},
        "connect_timeout": "4s",  # two SYN packets that were lost to a full backlog are sent again before it
        # Not the least busy: an instance that was just killed has no requests, so that retries would go there again.
        "lb_policy": "ROUND_ROBIN",
        "load_assignment": {"cluster_name": backend.name, "endpoints": [{"lb_endpoints": _endpoints(backend)}]},
        "health_checks": [_health_check(backend)],
        # Else a healthy host that was removed keeps getting requests while it is being stopped.
        "ignore_health_on_host_removal": True,
        # Fail open only where nothing at all is healthy: with the default of 50 %, two sick instances of three get traffic.
        "common_lb_config": {"healthy_panic_threshold": {"value": 1}},
        "circuit_breakers": {"thresholds": [_LIMITS]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": _UPSTREAM},
    }


_LIMITS = {"max_connections": 1_000_000, "max_pending_requests": 1_000_000, "max_requests": 1_000_000, "max_retries": 10_000}
"""The default of 3 retries at a time loses requests whenever an instance stops under load."""

_UPSTREAM: Json = {
    "@type": TYPE + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    "explicit_http_config": {"http_protocol_options": {}},
    # Shorter than the keep-alive of the usual servers (gunicorn 2 s; uvicorn, node 5 s): a POST that meets a connection
    # in the act of being closed by the instance cannot be repeated.
    "common_http_protocol_options": {"idle_timeout": "1.5s"},
}


def _endpoints(backend: Backend) -> list[Json]:
    return [{"endpoint": {"address": socket_address(e.address, e.port)}} for e in backend.endpoints]


def _health_check(backend: Backend) -> Json:
    interval = f"{backend.health_interval:.3f}s"
    back_soon = f"{min(backend.health_interval, 0.25):.3f}s"
    return {
        "timeout": f"{backend.health_timeout:.3f}s",
        "interval": interval,
        "no_traffic_interval": interval,
        "no_traffic_healthy_interval": interval,
        "unhealthy_interval": back_soon,
        "unhealthy_edge_interval": back_soon,
        "healthy_threshold": 1,
        "unhealthy_threshold": 2,
        "http_health_check": {"path": backend.health_path, "expected_statuses": [{"start": 200, "end": 400}]},
    }


def socket_address(address: str, port: int) -> Json:
    return {"socket_address": {"address": address, "port_value": port}}


def listeners(place: Place, ports: Mapping[str, int], version: str) -> Json:
    """Return the listeners file: the shared listener, and one for each service's own port. All read the same routes."""
    # Checks come in here: a gateway that turns users away must not make a good release look bad.
    own = [
        {**_listener(f"service/{key}", place, port), "ignore_global_conn_limit": True} for key, port in sorted(ports.items())
    ]
    return discovery(version, LISTENER, [_listener(MAIN_LISTENER, place, place.port), *own])


def _listener(name: str, place: Place, port: int) -> Json:
    manager = {"name": "envoy.filters.network.http_connection_manager", "typed_config": _connection_manager(place)}
    return {
        "name": name,
        "address": socket_address(place.address, port),
        # With it, two platforms on one port would quietly share the requests, instead of the second being refused.
        "enable_reuse_port": False,
        "filter_chains": [{"filters": [manager]}],
    }


def _connection_manager(place: Place) -> Json:
    router = TYPE + "envoy.extensions.filters.http.router.v3.Router"
    return {
        "@type": TYPE + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "codec_type": "AUTO",
        "rds": {"route_config_name": "routes", "config_source": _source(place.routes)},
        "use_remote_address": True,
        "server_header_transformation": "PASS_THROUGH",
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "localhost"},
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "request_headers_timeout": "30s",
        # Counts from the answer to its last byte on the wire: with the default of 1 s, a machine that is starved of
        # processor time for longer closes connections whose answers were not sent yet (seen: 45 of 7,000).
        "delayed_close_timeout": "10s",
        # Events and sockets may be silent for long; the default of five minutes would cut them.
        "stream_idle_timeout": "3600s",
        "access_log": access_log(),
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": router, "suppress_envoy_headers": True}}
        ],
    }


def bootstrap(place: Place, connections: int = 50_000) -> Json:
    """Return what Envoy is started with; everything that changes is in the files that it names.

    It turns away clients beyond ``connections``, but for those of a service's own port: out of file descriptors, it would fail
    requests at random.
    """
    kind = TYPE + "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    monitor = {
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": {"@type": kind, "max_active_downstream_connections": connections},
    }
    return {
        "node": {"id": place.region, "cluster": "bleen"},
        "admin": {"address": {"pipe": {"path": str(place.admin), "mode": 0o600}}},
        "dynamic_resources": {"lds_config": _source(place.listeners), "cds_config": _source(place.clusters)},
        "overload_manager": {"resource_monitors": [monitor]},
        "stats_flush_interval": "1s",
        "stats_eviction_interval": f"{FORGOTTEN}s",
        "stats_config": {
            # A cluster's name has dots: without this, Prometheus is told of a cluster "dev" and of metrics with the rest.
            "stats_tags": [
                {"tag_name": BACKEND_TAG, "regex": r"^cluster\.(([^.]+\.[^.]+\.(?:blue|green)(?:-baseline)?\.r\d+)\.)"}
            ],
            "histogram_bucket_settings": [
                {"match": {"prefix": LATENCY}, "buckets": LATENCIES},
                {"match": {"suffix": ".upstream_rq_time"}, "buckets": LATENCIES},  # of copies
            ],
        },
    }


_STEPS = (1, 1.3, 1.8, 2.4, 3.2, 4.2, 5.6, 7.5)
LATENCIES = sorted({0.5, *(round(step * 10**decade) for decade in range(5) for step in _STEPS), 100_000})
"""Edges of the histograms of latency that Prometheus is told, in ms: eight to a decade, where Envoy's own are two."""


def _source(path: object) -> Json:
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}
