"""nginx: the file rewritten, and SIGHUP."""

import signal

from bench.peers.peer import Peer, end

_CONFIG = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 10000; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  keepalive_requests 1000000; keepalive_timeout 1h;
  upstream service {{ {servers} keepalive 64; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_read_timeout 1h;
    }}
  }}
}}
"""


class Nginx(Peer):
    """A reload."""

    name = "nginx"
    program = "nginx"

    async def start(self) -> None:
        """Serve."""
        self._write("blue")
        self._process = await self.run("nginx", "-c", str(self.folder / "nginx.conf"), "-p", str(self.folder))
        await self.answers()

    def _write(self, colour: str) -> None:
        servers = " ".join(f"server {address}:{port};" for address, port in self.colours[colour])
        text = _CONFIG.format(folder=self.folder, port=self.port, servers=servers)
        (self.folder / "nginx.conf").write_text(text)

    async def switch(self, colour: str) -> None:
        """Return at once: a signal has no answer."""
        self._write(colour)
        self._process.send_signal(signal.SIGHUP)

    async def stop(self) -> None:
        """End it."""
        await end(self._process)
