"""HAProxy: weights set at run time over its socket, and a reload of a rewritten file."""

import asyncio
import signal

from bench.peers.peer import Peer, end

_CONFIG = """
global
  maxconn 4000
  stats socket {folder}/admin.sock mode 600 level admin expose-fd listeners
  stats timeout 1h
defaults
  mode http
  option http-keep-alive
  option redispatch
  retries 3
  timeout connect 1s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
frontend main
  bind 127.0.0.1:{port}
  default_backend service
backend service
{servers}
"""


class HaproxyWeights(Peer):
    """``set server ... weight`` on the run-time socket."""

    name = "HAProxy"
    program = "haproxy"

    async def start(self) -> None:
        """Serve."""
        self._write("blue")
        self._process = await self.run("haproxy", "-W", "-db", "-f", str(self.folder / "haproxy.cfg"))
        await self.answers()

    def _write(self, serving: str) -> None:
        lines = [
            f"  server {colour}{number} {address}:{port} weight {100 if colour == serving else 0}"
            for colour, instances in self.colours.items()
            for number, (address, port) in enumerate(instances)
        ]
        text = _CONFIG.format(folder=self.folder, port=self.port, servers="\n".join(lines))
        (self.folder / "haproxy.cfg").write_text(text)

    async def switch(self, colour: str) -> None:
        """New first, then old to nothing, in one exchange."""
        other = "green" if colour == "blue" else "blue"
        orders = [
            f"set server service/{name}{number} weight {weight}"
            for name, weight in ((colour, 100), (other, 0))
            for number in range(len(self.colours[name]))
        ]
        reader, writer = await asyncio.open_unix_connection(str(self.folder / "admin.sock"))
        writer.write((";".join(orders) + "\n").encode())
        await reader.read()
        writer.close()

    async def stop(self) -> None:
        """End it."""
        await end(self._process)


class HaproxyReload(HaproxyWeights):
    """The file rewritten, and SIGUSR2 to the master."""

    name = "HAProxy reload"

    async def switch(self, colour: str) -> None:
        """Return at once: the master says nothing."""
        self._write(colour)
        self._process.send_signal(signal.SIGUSR2)
