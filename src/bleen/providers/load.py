"""Open-loop load: requests leave on schedule, whatever became of the last one, and latency counts from the schedule.

A closed loop would stop asking just when a gateway stalls, and so measure nothing of the stall.
"""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from enum import StrEnum


class Mode(StrEnum):
    """How the requests of a load are made."""

    KEEP_ALIVE = "keep-alive"
    NEW = "new connection"
    SLOW = "slow"
    STREAM = "stream"


@dataclass(frozen=True)
class Load:
    """What to ask, where, and how often."""

    port: int
    rate: float = 1000.0
    """Requests a second."""
    mode: Mode = Mode.KEEP_ALIVE
    address: str = "127.0.0.1"
    host: str = "localhost"
    path: str = "/"
    method: str = "GET"
    """Nothing is sent with a POST."""
    patience: float = 30.0
    """Seconds after which a request counts as failed."""
    mark: str = "x-bleen-release"
    """The header that says who answered."""

    @property
    def request(self) -> bytes:
        close = "connection: close\r\n" if self.mode in (Mode.NEW, Mode.STREAM) else ""
        empty = "" if self.method == "GET" else "content-length: 0\r\n"
        return f"{self.method} {self.path} HTTP/1.1\r\nhost: {self.host}\r\n{close}{empty}\r\n".encode()


@dataclass(slots=True, eq=False)
class Sample:
    """One request. Times are of `time.perf_counter`."""

    due: float
    started: float = 0.0
    ended: float = 0.0
    answered_by: str = ""
    """Who answered, from the header that the load names as its mark."""
    failure: str = ""
    """Why it failed; empty where it did not."""

    @property
    def latency(self) -> float:
        """Seconds from the moment that it was due."""
        return self.ended - self.due


@dataclass
class Outcome:
    """What became of a load."""

    samples: list[Sample] = field(default_factory=list)

    @property
    def failures(self) -> Sequence[Sample]:
        return [sample for sample in self.samples if sample.failure]

    def quantile(self, share: float) -> float:
        """Return the latency in seconds that ``share`` of the requests kept below."""
        return quantile([sample.latency for sample in self.samples if not sample.failure], share)


def quantile(values: Iterable[float], share: float) -> float:
    """Return the nearest-rank quantile; NaN of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


class _Connection(asyncio.Protocol):
    """One connection: one request at a time, parsed no further than it must be."""

    def __init__(self, generator: "Generator") -> None:
        self._generator = generator
        self._sample: Sample | None = None
        self._head = b""
        self._missing = 0
        """Bytes of the body to come; -1 where it is chunked."""
        self._tail = b""
        self.last = False
        """Whether the other side said that it closes after this answer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, sample: Sample, request: bytes) -> None:
        """Ask."""
        self._sample, self._head, self._tail = sample, b"", b""
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        sample = self._sample
        if sample is None:
            return
        body = data if sample.answered_by else self._read_head(sample, data)
        if body is not None and self._complete(body):
            self._finish(sample.failure)

    def _read_head(self, sample: Sample, data: bytes) -> bytes | None:
        self._head += data
        head, found, body = self._head.partition(b"\r\n\r\n")
        if not found:
            return None
        lowered = head.lower()
        sample.answered_by = _header(lowered, self._generator.load.mark.encode()) or "?"
        if head[9:12] != b"200":
            sample.failure = f"{head[9:12].decode()} {body[:80].decode(errors='replace').strip()}"
        self.last = _header(lowered, b"connection") == "close"
        length = _header(lowered, b"content-length")
        self._missing = int(length) if length else -1
        return body

    def _complete(self, body: bytes) -> bool:
        if self._missing < 0:
            self._tail = (self._tail + body)[-5:]
            return self._tail == b"0\r\n\r\n"
        self._missing -= len(body)
        return self._missing <= 0

    def _finish(self, failure: str) -> None:
        sample, self._sample = self._sample, None
        if sample is not None:
            self._generator.finished(self, sample, failure)

    def connection_lost(self, exc: Exception | None) -> None:
        self._generator.lost(self)
        self._finish(f"closed under a request ({exc or 'end of file'})")


def _header(head: bytes, name: bytes) -> str:
    start = head.find(b"\r\n" + name + b":")
    if start < 0:
        return ""
    start += len(name) + 3
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else len(head)].strip().decode()


class Generator:
    """Sends one load."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.outcome = Outcome()
        self._stop = asyncio.Event()
        self._over = asyncio.Event()
        self._idle: list[_Connection] = []
        self._open: set[Sample] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._request = load.request
        self._keeps = load.mode in (Mode.KEEP_ALIVE, Mode.SLOW)

    def stop(self) -> None:
        """Begin no more requests."""
        self._stop.set()

    async def run(self, seconds: float = float("inf")) -> Outcome:
        """Send until ``seconds`` are over or `stop` is called; return when all requests have ended."""
        began, sent = time.perf_counter(), 0
        while not self._stop.is_set() and (now := time.perf_counter()) < began + seconds:
            while (due := began + sent / self.load.rate) <= now:
                self._begin(Sample(due))
                sent += 1
            await asyncio.sleep(0.001)
        await self._settle()
        return self.outcome

    def _begin(self, sample: Sample) -> None:
        self.outcome.samples.append(sample)
        self._open.add(sample)
        sample.started = time.perf_counter()
        while self._keeps and self._idle:
            connection = self._idle.pop()
            if not connection.transport.is_closing():
                connection.send(sample, self._request)
                return
        task = asyncio.get_running_loop().create_task(self._connect(sample))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, sample: Sample) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(lambda: _Connection(self), self.load.address, self.load.port)
        except OSError as error:
            self._end(sample, f"no connection ({error})")
            return
        connection.send(sample, self._request)

    def finished(self, connection: _Connection, sample: Sample, failure: str) -> None:
        """Note how a request of ``connection`` ended."""
        self._end(sample, failure)
        if self._keeps and not connection.last and not connection.transport.is_closing():
            self._idle.append(connection)
        else:
            connection.transport.close()

    def lost(self, connection: _Connection) -> None:
        """Use ``connection`` no more."""
        if connection in self._idle:
            self._idle.remove(connection)

    def _end(self, sample: Sample, failure: str) -> None:
        sample.ended = time.perf_counter()
        sample.failure = failure
        self._open.discard(sample)
        if self._stop.is_set() and not self._open:
            self._over.set()

    async def _settle(self) -> None:
        self._stop.set()
        if self._open:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), self.load.patience)
        for sample in list(self._open):
            self._end(sample, f"no answer in {self.load.patience:g} s")
        for connection in self._idle:
            connection.transport.abort()


class LoadProcess:
    """A load in a process of its own, so that nothing else holds its clock up."""

    def __init__(self, load: Load) -> None:
        self.load = load

    async def start(self) -> None:
        """Begin to send."""
        words = [sys.executable, "-m", "bleen.providers.load", json.dumps(asdict(self.load))]
        self._process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE, limit=2**30)

    async def stop(self) -> Outcome:
        """Send no more, and return what became of all that was sent."""
        self._process.terminate()
        output, _ = await self._process.communicate()
        return Outcome([Sample(*row) for row in json.loads(output)])


async def _main(load: Load) -> None:
    generator = Generator(load)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, generator.stop)
    outcome = await generator.run()
    json.dump([(s.due, s.started, s.ended, s.answered_by, s.failure) for s in outcome.samples], sys.stdout)


if __name__ == "__main__":
    words = json.loads(sys.argv[1])
    asyncio.run(_main(Load(**{**words, "mode": Mode(words["mode"])})))
