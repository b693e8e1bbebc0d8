"""`bleen notices test`, from the command line to channels: real ones that take a notice, and ones that are not there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from bleen.domain.channel import Channels, Webhook
from bleen.domain.release import SecretRef
from bleen.interfaces.api.server import build_api
from bleen.providers.hook import Hook
from bleen.providers.local.secrets import FolderSecrets
from bleen.providers.notices.channels import ChannelNotices
from tests.interfaces.conftest import Bleen
from tests.interfaces.estate import TOKEN, Estate

KEY = "whsec_" + "QUJD" * 10 + "QUI="
NOBODY = "http://127.0.0.1:9/hooks"


@contextmanager
def receiver(status: int) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """Yield the address of a server that answers so, and what it is sent."""
    posts: list[dict[str, object]] = []

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posts.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Taker) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hooks", posts
        finally:
            server.shutdown()


def hears(idle: Estate, home: Path, *channels: Webhook) -> Estate:
    """Return the platform, up, with these channels."""
    secrets = home / "secrets"
    secrets.mkdir(parents=True, exist_ok=True)
    (secrets / "KEY").write_text(KEY)
    (secrets / "KEY").chmod(0o600)
    notices = ChannelNotices(Channels(channels), FolderSecrets(home), secrets, Hook(()))
    idle.api = build_api(replace(idle.providers, notices=notices), TOKEN)
    idle.up()
    return idle


def webhook(name: str, url: str, *environments: str) -> Webhook:
    return Webhook(name=name, url=url, key=SecretRef("KEY"), environments=environments)


def test_each_channel_says_whether_it_took_it(idle: Estate, tmp_path: Path, bleen: Bleen) -> None:
    """One takes it, one refuses, one is not there; that of another environment is not asked, and nobody is told twice."""
    with receiver(200) as (good, taken), receiver(410) as (gone, refused):
        others = webhook("refuses", gone), webhook("away", NOBODY), webhook("elsewhere", good, "production")
        hears(idle, tmp_path / "home", webhook("takes", good), *others)
        said = bleen("notices", "test")
    assert said.code == 3
    assert said.out.splitlines()[:3] == [
        "takes: took it",
        "refuses: did not take it: it answered 410",
        "away: did not take it: no connection could be made to it",
    ]
    assert [post["type"] for post in taken] == ["bleen.trial"] and len(refused) == 1


def test_what_is_told_is_signed_and_says_that_it_is_a_trial(idle: Estate, tmp_path: Path, bleen: Bleen) -> None:
    """Who reads it knows who asked, and that nothing has happened."""
    with receiver(204) as (good, taken):
        hears(idle, tmp_path / "home", webhook("takes", good, "production"))
        said = bleen("notices", "test", "--env", "production", "--json")
    assert said.code == 0
    assert said.json["channels"] == [{"channel": "takes", "why": ""}, {"channel": "log", "why": ""}]
    data = taken[0]["data"]
    assert isinstance(data, dict)
    assert (data["environment"], data["level"], data["why"]) == ("production", "critical", "nothing has happened")
    assert "a trial" in data["what"]


def test_a_channel_without_its_secret_says_so(idle: Estate, tmp_path: Path, bleen: Bleen) -> None:
    """And not what the secret would have been; the others are told."""
    channel = Webhook(name="keyless", url=NOBODY, key=SecretRef("LOST"))
    hears(idle, tmp_path / "home", channel)
    said = bleen("notices", "test")
    assert said.code == 3
    assert "keyless: did not take it" in said.out and "LOST" in said.out and "log: took it" in said.out
