"""The port that each service has of its own: given with its first route, remembered in the home until it is removed."""

import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from bleen.domain.errors import InvalidInput, PortTaken
from bleen.providers.envoy.files import write_whole


class ServicePorts:
    """Which port each service has, at the same number on every gateway."""

    def __init__(self, path: Path, first: int, addresses: Sequence[str]) -> None:
        self._path = path
        self._first = first
        self._addresses = addresses

    def all(self) -> Mapping[str, int]:
        """Return the port of every service, by its key."""
        with suppress(FileNotFoundError):
            try:
                return msgspec.json.decode(self._path.read_bytes(), type=dict[str, int])
            except msgspec.MsgspecError as error:
                raise InvalidInput(
                    f"{self._path.name} cannot be read",
                    why=str(error),
                    next="remove it: services get new ports",
                    where=str(self._path),
                ) from error
        return {}

    def give(self, key: str) -> bool:
        """See that ``key`` has a port: the first that no service has and no program listens on. Return whether it had none."""
        ports = self.all()
        if key in ports:
            return False
        self._write({**ports, key: self._free(set(ports.values()))})
        return True

    def move(self, key: str) -> None:
        """Give ``key`` another port: the one that it has is taken."""
        ports = self.all()
        self._write({**ports, key: self._free(set(ports.values()))})

    def drop(self, key: str) -> None:
        """Leave ``key`` without a port, until it is given one again."""
        ports = self.all()
        if key in ports:
            self._write({each: port for each, port in ports.items() if each != key})

    def _write(self, ports: Mapping[str, int]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._path, msgspec.json.encode(ports, order="sorted"))

    def _free(self, taken: set[int]) -> int:
        if not self._first:
            return free_port(self._addresses[0])
        for port in range(self._first, 65536):
            if port not in taken and all(is_free(address, port) for address in self._addresses):
                return port
        raise PortTaken(f"no port from {self._first} up is free", next="set BLEEN_SERVICE_PORTS to a lower number")


def is_free(address: str, port: int) -> bool:
    """Return whether nobody listens there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True


def free_port(address: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port
