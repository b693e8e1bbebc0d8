"""Checks against a real server and with real commands."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509

from bleen.domain.check import Check, CheckTime, CommandCheck, HttpCheck
from bleen.domain.duration import seconds
from bleen.providers.prober import Door, DoorOf, GatewayProber
from bleen.providers.transport import authorities
from tests.azure.estate import certify


def at(url: str, host: str = "") -> DoorOf:
    async def door(service: str, release: int) -> Door:
        return Door(url, host)

    return door


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """A server that echoes the release header, at /host that of the host; it fails at /bad, and never answers at /never."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ")[1]
        release = next(line for line in head.splitlines() if line.lower().startswith("x-bleen-release")).split(": ")[1]
        if path == "/never":
            await asyncio.sleep(30)
        if path == "/host":
            release = next(line for line in head.splitlines() if line.lower().startswith("host")).split(": ")[1]
        status = "500 No" if path == "/bad" else "200 OK"
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(release)}\r\nconnection: close\r\n\r\n{release}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@pytest.mark.parametrize(
    ("check", "passed", "words"),
    [
        (HttpCheck("/", contains="r7", requests=3), True, "3 requests"),
        (HttpCheck("/bad"), False, "500 instead of 200"),
        (HttpCheck("/bad", status=500), True, "500"),
        (HttpCheck("/", contains="r8"), False, "without 'r8'"),
        (HttpCheck("/never", timeout=seconds(0.2)), False, "Timeout"),
        (CommandCheck(("sh", "-c", "test $BLEEN_RELEASE = r7 && echo fine")), True, "fine"),
        (CommandCheck(("sh", "-c", "echo no such page; exit 3")), False, "exit 3: no such page"),
        (CommandCheck(("/no/such/command",)), False, "cannot execute '/no/such/command': No such file"),
        (CommandCheck(("sleep", "30"), timeout=seconds(0.2)), False, "not finished after 200ms"),
    ],
)
async def test_a_check_says_what_it_saw(url: str, check: Check, passed: bool, words: str) -> None:
    """Every way to fail is a result with its reason, never an exception."""
    result = await GatewayProber(at(url)).run(check, CheckTime.BEFORE, service="hello", release=7)
    assert result.passed is passed and words in result.detail


async def test_a_server_that_is_not_there_fails_the_check() -> None:
    """A refused connection is a failed check."""
    result = await GatewayProber(at("http://127.0.0.1:9")).run(HttpCheck("/"), CheckTime.AFTER, service="hello", release=1)
    assert not result.passed and "ConnectError" in result.detail


async def test_a_command_that_times_out_leaves_no_children(url: str, tmp_path: Path) -> None:
    """What the command started is killed with it."""
    mark = tmp_path / "still-here"
    check = CommandCheck(("sh", "-c", f"(sleep 1; touch {mark}) & sleep 30"), timeout=seconds(0.2))
    await GatewayProber(at(url)).run(check, CheckTime.BEFORE, service="hello", release=1)
    await asyncio.sleep(1.3)
    assert not mark.exists()


async def test_attempts_are_tried_until_one_passes(url: str, tmp_path: Path) -> None:
    """The first good answer ends the check."""
    seen = tmp_path / "seen"
    check = CommandCheck(("sh", "-c", f"test -e {seen} || {{ touch {seen}; exit 1; }}"), attempts=3)
    result = await GatewayProber(at(url)).run(check, CheckTime.BEFORE, service="hello", release=1)
    assert result.passed


async def test_visits_reach_the_release_and_raise_nothing(url: str) -> None:
    """Also where it fails, or where nobody answers at all."""
    prober = GatewayProber(at(url))
    await prober.visit("/", 3, service="hello", release=7)
    await prober.visit("/bad", 3, service="hello", release=7)
    await GatewayProber(at("http://127.0.0.1:1")).visit("/", 3, service="hello", release=7)


async def test_where_the_url_does_not_name_the_service_the_host_does(url: str) -> None:
    """A gateway that answers for many under one address is asked by Host header, by checks of both kinds."""
    prober = GatewayProber(at(url, "hello.example.org"))
    for check in (
        HttpCheck("/host", contains="hello.example.org"),
        CommandCheck(("sh", "-c", "test $BLEEN_HOST = hello.example.org")),
    ):
        assert (await prober.run(check, CheckTime.BEFORE, service="hello", release=7)).passed


async def test_a_gateway_at_an_address_has_to_prove_the_name_of_the_service(tmp_path: Path) -> None:
    """A certificate of that name is accepted at a bare address, and of no other."""
    tls = certify(tmp_path / "service.pem", x509.DNSName("www.example.org"))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    check = HttpCheck(path="/")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(tmp_path / "service.pem"))
        authorities.cache_clear()
        good = GatewayProber(at(url, "www.example.org"))
        assert (await good.run(check, CheckTime.BEFORE, service="hello", release=2)).passed
        bad = await GatewayProber(at(url, "other.example.org")).run(check, CheckTime.BEFORE, service="hello", release=2)
        assert not bad.passed and "certificate" in bad.detail.lower()
    authorities.cache_clear()
    server.close()
