"""A program that serves HTTP on an address of its own, for tests."""

import os
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

import httpx


class Program:
    """Runs a command as an instance is run, from its first good answer to its end."""

    def __init__(self, command: list[str], env: dict[str, str], *, health: str, wait: bool = True) -> None:
        self.address, self.port = "127.0.0.1", _free_port()
        self.health = health
        self.wait = wait
        self.command = command
        own = {"BLEEN_ADDRESS": self.address, "BLEEN_PORT": str(self.port), "BLEEN_INSTANCE": "test-1"}
        self.env = {"PATH": os.environ["PATH"]} | own | env

    def __enter__(self) -> "Program":
        self.process = subprocess.Popen(
            self.command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=Path("/")
        )
        self.client = httpx.Client(base_url=f"http://{self.address}:{self.port}", timeout=10, trust_env=False)
        if self.wait:
            self.until_ready()
        return self

    def until_ready(self, within: float = 20) -> None:
        """Return at the first good answer of the health path; AssertionError after ``within`` seconds."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.get(self.health).is_success:
                    return
            except httpx.ConnectError:
                pass
            time.sleep(0.02)
        self.process.kill()
        raise AssertionError(f"never ready: {self.output()}")

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def end(self, number: int) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=20)

    def output(self) -> str:
        """Return what it printed, once it has ended."""
        if self.process.stdout and not self.process.stdout.closed:
            self.said: str = self.process.communicate(timeout=20)[0]
        return self.said

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
        self.output()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
