"""Addresses of instances."""

import socket
from itertools import islice
from pathlib import Path

import pytest

from bleen.domain.errors import PortTaken
from bleen.providers.local.addresses import allocate, candidates, check_free
from tests.providers.local.world import free_port


def test_a_home_has_its_own_addresses_in_its_own_order() -> None:
    """The same ones each time, none that other programs use, each once."""
    for home in (Path("/a"), Path("/b")):
        some = list(islice(candidates(home), 5000))
        assert some == list(islice(candidates(home), 5000))
        assert len(set(some)) == 5000
        assert len({address.split(".")[1] for address in some}) == 1
        assert not any(address.startswith("127.0.") or address.endswith((".0", ".255")) for address in some)
    assert next(candidates(Path("/a"))) != next(candidates(Path("/b")))


def test_an_address_in_use_is_not_given_again() -> None:
    """Until every one is used."""
    home = Path("/a")
    first = allocate(home, ())
    assert allocate(home, {first}) != first
    with pytest.raises(PortTaken):
        allocate(home, set(candidates(home)))


def test_a_port_is_taken_on_one_address_or_on_all() -> None:
    """A server on 0.0.0.0 has the port of every address; one that went a moment ago has none."""
    port = free_port()
    for bound in ("127.9.8.7", "0.0.0.0"):
        with socket.create_server((bound, port)) as server, socket.create_connection(("127.9.8.7", port)) as client:
            with pytest.raises(PortTaken, match=r"is taken by .* \(pid"):
                check_free("127.9.8.7", port)
            server.accept()[0].close()
            client.close()
        check_free("127.9.8.7", port)
