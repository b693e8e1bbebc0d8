"""Server-sent events, writes that are asked twice, and requests that are too much."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from bleen.domain.access import Role
from bleen.domain.codec import encode
from bleen.domain.duration import Duration
from bleen.domain.errors import InvalidInput, NotFound, Unreachable
from bleen.domain.ledger import Draft, Finished, HostsChanged, Query
from bleen.interfaces.api.admitted import while_admitted
from bleen.interfaces.api.guard import KEY
from bleen.interfaces.client import Client
from bleen.interfaces.platform import Server
from bleen.interfaces.problem import MEDIA_TYPE, problem_of
from bleen.interfaces.views import RetryOrder, TokenOrder
from tests.interfaces.estate import TOKEN, Estate
from tests.interfaces.test_api import request, settled, until
from tests.interfaces.test_sessions import Browser

HEADERS = {"authorization": f"Bearer {TOKEN}"}


def enter(estate: Estate, *keys: str, environment: str = "dev") -> None:
    """Append entries."""
    for key in keys:
        estate.run(estate.ledger.append(Draft(key, environment, "hello", HostsChanged((), (key,)), by="ada")))


@contextmanager
def listening(estate: Estate, path: str = "/v1/events", **headers: str) -> Iterator[Iterator[dict[str, str]]]:
    """Yield the events of a stream, each as its fields."""
    with httpx.stream("GET", estate.address + path, headers=HEADERS | headers, timeout=10) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert (next(lines), next(lines)) == ("retry: 1000", "")
        yield _events(lines)


def _events(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        else:
            yield fields
            fields = {}


def test_what_happens_is_told_as_it_happens(estate: Estate) -> None:
    """From now on: what was before is not told; each with its number, its kind and its words."""
    enter(estate, "before")
    with listening(estate) as events:
        enter(estate, "a", "b")
        first, second = next(events), next(events)
    assert (first["id"], first["event"], second["id"]) == ("2", "hosts-changed", "3")
    assert '"what":"answers to a"' in first["data"]


def test_a_stream_goes_on_where_it_ended(estate: Estate) -> None:
    """Nothing is lost between, and nothing is told twice."""
    enter(estate, *"abc")
    with listening(estate, **{"last-event-id": "1"}) as events:
        enter(estate, "d")
        assert [next(events)["id"] for _ in range(3)] == ["2", "3", "4"]


def test_many_listen_to_one_newsroom(estate: Estate) -> None:
    """Each hears what it asked for, and of its environment."""
    with (
        listening(estate) as all_events,
        listening(estate, "/v1/events?environment=dev") as dev,
        listening(estate, "/v1/events?service=nobody") as nobody,
    ):
        enter(estate, "p", environment="production")
        enter(estate, "d")
        assert [next(all_events)["id"], next(all_events)["id"], next(dev)["id"]] == ["1", "2", "2"]
        estate.run(estate.ledger.append(Draft("n", "dev", "nobody", Finished())))
        assert next(nobody)["id"] == "3"


def test_a_wrong_place_to_go_on_is_refused(estate: Estate) -> None:
    """With what to send."""
    answer = httpx.get(f"{estate.address}/v1/events", headers=HEADERS | {"last-event-id": "x"})
    assert (answer.status_code, answer.headers["content-type"]) == (400, MEDIA_TYPE)


def deploy(estate: Estate, key: str, version: str = "1") -> httpx.Response:
    """Ask for a deployment with a key."""
    headers = HEADERS | {"idempotency-key": key, "content-type": "application/json"}
    return httpx.post(f"{estate.address}/v1/deployments", headers=headers, content=encode(request(version)), timeout=20)


def test_a_write_that_is_asked_twice_is_done_once(estate: Estate) -> None:
    """The second answer is the first one, whether it comes later or at the same time."""
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(deploy(estate, "k"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers.append(deploy(estate, "k"))
    assert {a.status_code for a in answers} == {200}
    assert len({a.content for a in answers}) == 1
    assert '"type":"started"' in answers[0].text
    assert len(estate.run(estate.ledger.read(Query(kinds=("rollout-started",))))) == 1


def test_a_key_is_for_one_request(estate: Estate) -> None:
    """Another request with it is a mistake, and is told so; a key that is too long as well."""
    assert deploy(estate, "k").status_code == 200
    other = deploy(estate, "k", "2")
    assert (other.status_code, other.headers["content-type"]) == (422, MEDIA_TYPE)
    assert deploy(estate, "k" * 300).status_code == 400


def test_a_write_that_failed_may_be_tried_again(estate: Estate) -> None:
    """With the same key: what the platform could not do is not remembered."""
    estate.fleets.answers = False
    headers = HEADERS | {"idempotency-key": "k", "content-type": "application/json"}
    path = f"{estate.address}/v1/dry-runs"
    assert httpx.post(path, headers=headers, content=encode(request())).status_code == 503
    estate.fleets.answers = True
    assert httpx.post(path, headers=headers, content=encode(request())).status_code == 200


@pytest.mark.parametrize("key", [{}, {"idempotency-key": "k"}])
def test_a_body_that_is_too_large_is_refused(estate: Estate, key: dict[str, str]) -> None:
    """As a problem, whatever its route."""
    body = b'{"by":"' + b"x" * 10_000_001 + b'"}'
    headers = HEADERS | {"content-type": "application/json"} | key
    answer = httpx.post(f"{estate.address}/v1/services/hello/rollback", headers=headers, content=body)
    assert (answer.status_code, answer.headers["content-type"]) == (413, MEDIA_TYPE)


def test_the_metrics_are_prometheus(estate: Estate) -> None:
    """Requests by route, method and status; for whoever may look."""
    from prometheus_client.parser import text_string_to_metric_families

    def refused() -> float:
        page = httpx.get(f"{estate.address}/metrics", headers=HEADERS).text
        samples = [s for family in text_string_to_metric_families(page) for s in family.samples]
        labels = {"path": "/v1/services/{service}", "method": "GET", "status_code": "404"}
        return sum(s.value for s in samples if s.name == "bleen_requests_total" and s.labels.items() >= labels.items())

    assert httpx.get(f"{estate.address}/metrics").status_code == 401
    before = refused()
    httpx.get(f"{estate.address}/v1/services/nope", headers=HEADERS)
    assert refused() == before + 1


def test_the_client_asks_again_with_the_same_key(estate: Estate) -> None:
    """Where the connection broke before the answer: the server knows whether it was done already."""
    keys: list[str] = []

    def broken_once(asked: httpx.Request) -> httpx.Response:
        keys.append(asked.headers["idempotency-key"])
        if len(keys) == 1:
            raise httpx.ReadError("the connection broke")
        return httpx.Response(404, content=encode(problem_of(NotFound("there is no service", next="bleen status"))))

    with Client(Server("http://server", "t"), transport=httpx.MockTransport(broken_once)) as client, pytest.raises(NotFound):
        client.retry("dev", "hello", RetryOrder("ada"))
    assert len(keys) == 2 and keys[0] == keys[1]


# ---- streams end with the right to listen ----

SOON = 8.0
"""Seconds: two between two looks, one for what another controller entered, and a slow machine."""


def ends(estate: Estate, path: str, secret: str, then: Callable[[], object]) -> float:
    """Listen, do something, and return how many seconds after it the stream ended."""
    headers = {"authorization": f"Bearer {secret}"}
    with httpx.stream("GET", estate.address + path, headers=headers, timeout=SOON * 4, trust_env=False) as answer:
        assert answer.status_code == 200
        lines = answer.iter_raw()
        if "events" in path:
            next(lines)
        then()
        began = time.monotonic()
        for _ in lines:
            pass
        return time.monotonic() - began


@pytest.mark.parametrize("path", ["/v1/events", "/v1/services/hello/logs?follow=true"])
def test_a_stream_ends_when_its_token_is_revoked(estate: Estate, client: Client, path: str) -> None:
    """Within seconds, though nothing happens that it could tell."""
    client.deploy(request())
    until(client, settled)
    made = client.make_token(TokenOrder("ada", {"*": Role.VIEWER}, "tester"))
    assert ends(estate, path, made.secret, lambda: client.revoke_token(made.token.id, "tester")) < SOON


def test_a_stream_ends_when_its_token_expires(estate: Estate, client: Client) -> None:
    """By itself; while it counts, it goes on."""
    made = client.make_token(TokenOrder("ada", {"*": Role.VIEWER}, "tester", Duration.parse("4s")))
    assert 1 < ends(estate, "/v1/events", made.secret, lambda: None) < SOON + 4


def test_a_stream_ends_when_its_browser_is_signed_out(estate: Estate, client: Client) -> None:
    """From another tab, say."""
    browser = Browser(estate.address)
    browser.open(client.link("ada").code)
    headers = {KEY: browser.key, "origin": browser.address}
    with browser.http.stream("GET", "/v1/events", headers=headers, timeout=SOON * 4) as answer:
        lines = answer.iter_raw()
        next(lines)
        with httpx.Client(base_url=browser.address, cookies=dict(browser.http.cookies), trust_env=False) as tab:
            assert tab.delete("/v1/session", headers=headers | {"sec-fetch-site": "same-origin"}).status_code == 204
        began = time.monotonic()
        assert b"session-closed" in b"".join(lines)
        assert time.monotonic() - began < SOON


async def test_what_was_told_is_told_whole_and_in_order() -> None:
    """The looks in between lose nothing, whatever the moments; a source that fails is heard of."""

    async def numbers() -> AsyncIterator[int]:
        for n in range(50):
            await asyncio.sleep(0.002 * (n % 3))
            yield n
        raise KeyError("at the end")

    looks = 0

    async def may() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            raise Unreachable("the ledger is away")

    heard = []
    with pytest.raises(KeyError, match="at the end"):
        async for n in while_admitted(numbers(), may, every=0.005):
            heard.append(n)
    assert heard == list(range(50)) and looks > 3


async def test_a_stream_that_ends_lets_go_of_its_source() -> None:
    """Else each one that was cut off would go on reading for nobody."""
    closed = asyncio.Event()

    async def forever() -> AsyncIterator[int]:
        try:
            while True:
                await asyncio.sleep(3600)
                yield 1
        finally:
            closed.set()

    async def may_not() -> None:
        raise InvalidInput("revoked")

    assert [n async for n in while_admitted(forever(), may_not, every=0.01)] == []
    assert closed.is_set()
