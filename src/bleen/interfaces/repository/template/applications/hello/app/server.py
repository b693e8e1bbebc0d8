"""A small web service of the standard library alone: says hello, and which release says it."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GREETING = os.environ.get("GREETING", "Hello")
RELEASE = os.environ.get("BLEEN_RELEASE", "")
INSTANCE = os.environ.get("BLEEN_INSTANCE", "")
STOP_WITHIN = 10.0
"""Seconds for answers under way, shorter than `stop.kill_after` of the service file is long."""


class Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True
    under_way = 0
    changed = threading.Condition()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Count an answer, so that the server does not end in the middle of it."""
        with self.changed:
            self.under_way += 1
        try:
            yield
        finally:
            with self.changed:
                self.under_way -= 1
                self.changed.notify_all()

    def stop(self) -> None:
        self.shutdown()
        with self.changed:
            self.changed.wait_for(lambda: not self.under_way, timeout=STOP_WITHIN)


class Hello(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    timeout = 3600  # an idle connection is the gateway's to close; a request on its way must never meet our hanging up

    def do_GET(self) -> None:
        with self.server.answering():
            if self.path == "/healthz":
                self.answer(200, {"healthy": True})
            elif self.path == "/":
                self.answer(200, {"greeting": GREETING, "release": RELEASE, "instance": INSTANCE})
            else:
                self.answer(404, {"error": f"there is no {self.path}"})
            self.wfile.flush()

    def answer(self, status: int, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """The gateway logs requests."""


def main() -> None:
    server = Server((os.environ["BLEEN_ADDRESS"], int(os.environ["BLEEN_PORT"])), Hello)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
    serving.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.stop()
    serving.join()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
