"""Clients that are slow, silent or many: each of them loses its own connection, and nobody else notices."""

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import httpx
import pytest

from bleen.domain.ledger import Draft, HostsChanged
from bleen.providers.web import ImpatientProtocol
from tests.interfaces.estate import TOKEN, Estate

AUTHORIZED = f"host: 127.0.0.1\r\nauthorization: Bearer {TOKEN}\r\n"
PATIENCE = 0.5
MANY = 2_500


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for half a second where the real server waits for ten, thirty or sixty."""
    for name in ("HEAD", "BODY", "UNREAD"):
        monkeypatch.setattr(ImpatientProtocol, name, PATIENCE)


@pytest.fixture
def files() -> Iterator[None]:
    """Let this process have two descriptors for each of many connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 3 * MANY:
        pytest.skip(f"a process may have only {hard} files open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3 * MANY), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connected(estate: Estate, receive: int = 0) -> socket.socket:
    found = socket.socket()
    if receive:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    found.settimeout(10)
    found.connect(("127.0.0.1", int(estate.address.rpartition(":")[2])))
    return found


def read_all(connection: socket.socket) -> bytes:
    """Return what comes until the other side ends it, in whatever way."""
    data = b""
    try:
        while more := connection.recv(65_536):
            data += more
    except ConnectionResetError:
        pass
    return data


def answers(estate: Estate) -> bool:
    return httpx.get(f"{estate.address}/v1/services", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_a_head_that_drips_is_not_waited_for(estate: Estate) -> None:
    """A byte now and then does not give it more time; whoever else asks is answered meanwhile."""
    with closing(connected(estate)) as slow:
        began, ended = time.monotonic(), False
        for byte in b"GET /v1/services HTTP/1.1\r\nhost: 127.0.0.1\r\nx: " + b"y" * 1000:
            try:
                slow.send(bytes([byte]))
            except (BrokenPipeError, ConnectionResetError):
                ended = True
                break
            assert answers(estate)
            time.sleep(0.05)
        assert ended and time.monotonic() - began >= PATIENCE


def test_a_silent_connection_is_told_that_it_is_too_late(estate: Estate) -> None:
    """One that says nothing, and one that says half a head."""
    for said in (b"", b"GET /v1/services HTT"):
        with closing(connected(estate)) as silent:
            silent.sendall(said)
            assert read_all(silent).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_never_ends_does_nothing(estate: Estate) -> None:
    """The write that it would be is not done, and its connection ends."""
    with closing(connected(estate)) as slow:
        head = f"POST /v1/tokens HTTP/1.1\r\n{AUTHORIZED}content-type: application/json\r\ncontent-length: 1000\r\n\r\n"
        slow.sendall(head.encode() + b'{"name": "eve"')
        assert b" 200 " not in read_all(slow)
    assert "eve" not in httpx.get(f"{estate.address}/v1/tokens", headers={"authorization": f"Bearer {TOKEN}"}).text


def test_requests_that_take_their_time_between_them_are_answered(estate: Estate) -> None:
    """A connection is used again after a pause: the time of a head counts from its first byte on."""
    with httpx.Client(headers={"authorization": f"Bearer {TOKEN}"}) as client:
        for _ in range(3):
            assert client.get(f"{estate.address}/v1/services").status_code == 200
            time.sleep(1.5 * PATIENCE)


def test_a_stream_that_is_quiet_goes_on(estate: Estate) -> None:
    """Who listens and has nothing to say keeps its connection, though nothing happens for longer than a head may take."""
    with closing(connected(estate)) as listener:
        listener.sendall(f"GET /v1/events HTTP/1.1\r\n{AUTHORIZED}\r\n".encode())
        time.sleep(3 * PATIENCE)
        estate.run(estate.ledger.append(Draft("news", "dev", "hello", HostsChanged((), ("a",)), by="ada")))
        data = b""
        while b"hosts-changed" not in data:
            data += listener.recv(65_536)


def test_a_listener_that_reads_nothing_is_let_go(estate: Estate) -> None:
    """What waits for it is given up, and others hear all."""
    with closing(connected(estate, receive=4096)) as deaf:
        deaf.sendall(f"GET /v1/events HTTP/1.1\r\n{AUTHORIZED}\r\n".encode())
        time.sleep(0.3)
        for n in range(400):
            long = (f"{n}-" + "x" * 40_000,)
            estate.run(estate.ledger.append(Draft(f"k{n}", "dev", "hello", HostsChanged((), long), by="ada")))
        deadline = time.monotonic() + 10
        while estate.connections and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not estate.connections
        assert answers(estate)
        assert b"399-" not in read_all(deaf)


@pytest.mark.usefixtures("files")
def test_thousands_of_connections_are_refused_and_the_api_goes_on(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond its limit each is told 503 at once. Who is connected is answered; when they are gone, so is everybody."""
    monkeypatch.setattr(ImpatientProtocol, "HEAD", 5.0)  # long enough for the crowd to be there together
    with httpx.Client(headers={"authorization": f"Bearer {TOKEN}"}) as friend, ExitStack() as crowd:
        many: list[socket.socket] = []
        for _ in range(MANY // 100):
            assert friend.get(f"{estate.address}/v1/services").status_code == 200
            many += [crowd.enter_context(closing(connected(estate))) for _ in range(100)]
        assert friend.get(f"{estate.address}/v1/services").status_code == 200
        assert estate.connections <= ImpatientProtocol.MOST + 100  # those that are being told
        told = {read_all(each)[9:12] for each in many}
        assert told == {b"503", b"408"}
        assert answers(estate)
