"""Notices by channels: real servers of HTTP and SMTP that take them, refuse them, hang, and are not there."""

import asyncio
import base64
import json
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from bleen.domain.channel import AnyChannel, Channels, Chat, Mail, Webhook
from bleen.domain.codec import convert
from bleen.domain.errors import Unreachable
from bleen.domain.notice import LEVELS, Dispatch, Level, Notice
from bleen.domain.release import SecretRef
from bleen.providers.hook import Hook
from bleen.providers.local.secrets import FolderSecrets
from bleen.providers.notices.channels import ChannelNotices, scrubbed
from bleen.providers.notices.webhook import WebhookSender, key_bytes, sign
from tests.contracts.notices import NoticesContract

KEY = "whsec_" + base64.b64encode(bytes(range(32))).decode()
PASSWORD = "correct horse battery staple/@:"
NOTICE = Notice(
    kind="rolled-back",
    environment="production",
    service="hello",
    rollout="production/hello/7",
    release="r3",
    what="hello: r3 is rolled back\r\nBcc: eve@example.org",
    why=f"exit 1: cannot sign in with {PASSWORD}",
    next="bleen explain production/hello/7",
)
AT = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
DISPATCH = Dispatch("msg_0123456789abcdef", AT, NOTICE)


@dataclass
class Inbox:
    """What servers were sent, and how they answer."""

    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    status: int = 200
    url: str = ""
    smtp: str = ""

    async def take(self, request: web.Request) -> web.Response:
        self.posts.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status, headers={"location": "http://127.0.0.1:1/"})

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # aiosmtpd's name
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        mail["x-rcpt"] = ",".join(envelope.rcpt_tos)
        self.mails.append(mail)
        return "250 OK" if self.status == 200 else "554 no"

    def login(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append(f"{data.login.decode()}:{data.password.decode()}")
        return AuthResult(success=data.password.decode() == PASSWORD)


def free_port() -> int:
    """Return a port that nobody has: the SMTP server looks for itself under the number that it was given."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        return int(door.getsockname()[1])


@pytest.fixture
async def inbox() -> AsyncIterator[Inbox]:
    """A server of HTTP and one of SMTP, on free ports."""
    found = Inbox()
    app = web.Application()
    app.router.add_post("/{path:.*}", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    options = {"authenticator": found.login, "auth_require_tls": False, "auth_required": False}
    mails = Controller(found, hostname="127.0.0.1", port=free_port(), server_kwargs=options)
    mails.start()
    found.smtp = f"127.0.0.1:{mails.port}"
    yield found
    await asyncio.to_thread(mails.stop)
    await runner.cleanup()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home with secrets."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name, value in (("KEY", KEY), ("PASSWORD", PASSWORD), ("SHORT", "r3")):
        (folder / name).write_text(value + "\n")
        (folder / name).chmod(0o600)
    yield tmp_path


def notices(home: Path, *channels: AnyChannel) -> ChannelNotices:
    return ChannelNotices(Channels(channels), FolderSecrets(home), home / "secrets", Hook([]))


def webhook(inbox: Inbox, **more: Any) -> Webhook:
    return Webhook(**{"name": "pipeline", "url": f"{inbox.url}/hook", "key": SecretRef("KEY"), **more})


def mail(inbox: Inbox, **more: Any) -> Mail:
    plain = {"name": "on-call", "server": inbox.smtp, "sender": "bleen@example.org", "security": "none"}
    return Mail(**{**plain, "to": ("ada@example.org", "bob@example.org"), **more})


class TestWebhook(NoticesContract):
    """A webhook, with the log of the controller beside it."""

    @pytest.fixture
    def notices(self, inbox: Inbox, home: Path) -> ChannelNotices:
        return notices(home, webhook(inbox))

    @pytest.fixture
    def arrived(self, inbox: Inbox) -> Callable[[], Sequence[Notice]]:
        return lambda: [_notice(body) for _, body in inbox.posts]

    @pytest.fixture
    def broken(self, inbox: Inbox) -> Callable[[], None]:
        def breaks() -> None:
            inbox.status = 503

        return breaks


def _notice(body: bytes) -> Notice:
    data = json.loads(body)["data"]
    del data["level"]
    found: Notice = convert(data, Notice)
    return found


async def test_a_webhook_is_verified_by_the_standards_own_library(inbox: Inbox, home: Path) -> None:
    """And nothing in it can be changed, nor its time."""
    sent = structs.replace(DISPATCH, at=datetime.now(UTC))
    await notices(home, webhook(inbox)).tell(sent, "pipeline")
    [(headers, body)] = inbox.posts
    told = Verifier(KEY).verify(body, headers)
    assert (told["type"], told["data"]["rollout"], told["data"]["level"]) == (
        "bleen.rolled-back",
        "production/hello/7",
        "critical",
    )
    assert headers["webhook-id"] == sent.id
    for wrong in (
        (body.replace(b"r3", b"r4"), headers),
        (body, {**headers, "webhook-id": "msg_2"}),
        (body, {**headers, "webhook-timestamp": str(int(time.time()) + 1)}),
    ):
        with pytest.raises(WebhookVerificationError):
            Verifier(KEY).verify(*wrong)


@given(st.binary(min_size=24, max_size=64), st.binary(max_size=200), st.integers(1, 2**31))
def test_any_key_and_any_body_are_signed_as_the_library_signs_them(key: bytes, body: bytes, at: int) -> None:
    """Where the body is text, which the library asks for."""
    text = body.decode("latin-1")
    spelt = "whsec_" + base64.b64encode(key).decode()
    assert key_bytes(spelt) == key
    assert sign(key, "msg_1", at, text.encode()) == Verifier(spelt).sign("msg_1", datetime.fromtimestamp(at, UTC), text)


@pytest.mark.parametrize(
    "key", ["", "whsec_", "whsec_dG9vIHNob3J0", "x" * 40, "whsec_%%%", base64.b64encode(bytes(32)).decode()]
)
async def test_a_wrong_key_is_told_without_the_key(inbox: Inbox, home: Path, key: str) -> None:
    """Nothing is sent unsigned."""
    (home / "secrets/KEY").write_text(key)
    with pytest.raises(Unreachable, match="its key is no whsec_") as refused:
        await notices(home, webhook(inbox)).tell(DISPATCH, "pipeline")
    assert not key or len(key) < 8 or key not in str(refused.value)
    assert inbox.posts == []


@pytest.mark.parametrize("status", [301, 400, 404, 410, 429, 500, 503])
async def test_whatever_is_not_a_yes_is_tried_again_under_the_same_id(inbox: Inbox, home: Path, status: int) -> None:
    """And no redirection is followed."""
    inbox.status = status
    told = notices(home, webhook(inbox))
    for _ in range(2):
        with pytest.raises(Unreachable, match=f"did not get through to pipeline: it answered {status}"):
            await told.tell(DISPATCH, "pipeline")
    assert [headers["webhook-id"] for headers, _ in inbox.posts] == [DISPATCH.id] * 2


@pytest.mark.parametrize("words", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n", b"HTTP/1.1 503 no\r\n"])
async def test_a_receiver_that_never_answers_is_left_after_a_while(words: bytes) -> None:
    """Whether it says nothing, or begins an answer and does not go on."""

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        await reader.read()  # until whoever asked has gone
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        assert await WebhookSender(url, KEY, patience=0.5).send(DISPATCH) in ("it took longer than 0.5 s", "ReadTimeout")


async def test_an_answer_without_an_end_is_not_read() -> None:
    """Its status says all of it."""

    async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\nwords")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(chatter, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        assert await WebhookSender(url, KEY).send(DISPATCH) == ""


async def test_a_mail_arrives_with_one_subject_and_for_everybody(inbox: Inbox, home: Path) -> None:
    """A line break in a notice makes no header."""
    await notices(home, mail(inbox)).tell(DISPATCH, "on-call")
    told = inbox.mails
    assert {one["x-rcpt"] for one in told} >= {"ada@example.org"} and "bob@example.org" in ",".join(o["x-rcpt"] for o in told)
    subject, text = told[0]["subject"], told[0].get_body(("plain",))
    assert subject.startswith("[production] critical: hello: r3 is rolled back") and told[0]["bcc"] is None
    assert "bleen@example.org" in told[0]["from"]
    assert text is not None and "Next: bleen explain production/hello/7" in text.get_content()


async def test_a_mail_is_signed_in_for(inbox: Inbox, home: Path) -> None:
    """With a password that has every sign in it that an address uses."""
    channel = mail(inbox, user="bleen@example.org", password=SecretRef("PASSWORD"))
    await notices(home, channel).tell(DISPATCH, "on-call")
    assert inbox.logins[0] == f"bleen@example.org:{PASSWORD}" and inbox.mails


async def test_a_mail_that_is_refused_is_tried_again(inbox: Inbox, home: Path) -> None:
    """By whoever told it."""
    inbox.status = 500
    with pytest.raises(Unreachable, match="did not get through to on-call"):
        await notices(home, mail(inbox)).tell(DISPATCH, "on-call")


async def test_a_chat_hears_of_it(inbox: Inbox, home: Path) -> None:
    """One of apprise's kinds, here its own of JSON by HTTP."""
    (home / "secrets/ROOM").write_text(inbox.url.replace("http:", "json:") + "/room-of-secrets")
    (home / "secrets/ROOM").chmod(0o600)
    await notices(home, Chat(name="room", url=SecretRef("ROOM"))).tell(DISPATCH, "room")
    [(_, body)] = inbox.posts
    told = json.loads(body)
    assert told["title"].startswith("[production] critical:") and "\n" not in told["title"]
    assert "Why: exit 1: cannot sign in with [a secret]" in told["message"]


async def test_no_secret_is_in_a_text_an_error_or_the_log(inbox: Inbox, home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither of the home's, nor the tokens of addresses, also where servers are not there."""
    caplog.set_level(logging.DEBUG)
    (home / "secrets/ROOM").write_text("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#room")
    (home / "secrets/HOOK").write_text("http://127.0.0.1:1/services/tell-nobody-of-this")
    for name in ("ROOM", "HOOK"):
        (home / "secrets" / name).chmod(0o600)
    (home / "secrets/NONSENSE").write_text("nonsense-with-a-token")
    (home / "secrets/NONSENSE").chmod(0o600)
    channels = (
        webhook(inbox),
        mail(inbox),
        webhook(inbox, name="away", url=SecretRef("HOOK")),
        Chat(name="nonsense", url=SecretRef("NONSENSE")),
        mail(inbox, name="away-mail", server="127.0.0.1:1", user="x", password=SecretRef("PASSWORD")),
    )
    errors = []
    for channel in channels:
        try:
            await notices(home, *channels).tell(DISPATCH, channel.name)
        except Unreachable as error:
            errors.append(str(error))
    assert len(errors) == 3
    sent = b"".join(body for _, body in inbox.posts).decode() + "".join(str(one) for one in inbox.mails)
    ours = "".join(record.getMessage() for record in caplog.records if record.name.startswith(("bleen", "apprise")))
    for text in (sent, "".join(errors), ours):
        for secret in (PASSWORD, KEY, "tell-nobody-of-this", "nonsense-with-a-token", "TIiajkdnlazkcOXrIdevi7FQ"):
            assert secret not in text
    assert "[a secret]" in sent


async def test_no_line_of_a_secret_of_many_lines_gets_out(inbox: Inbox, home: Path) -> None:
    """The last words of a program are cut, and may have a part of a key in them."""
    (home / "secrets/PEM").write_text("first-line-of-a-key\nsecond-line-of-a-key\n")
    leak = structs.replace(DISPATCH, notice=structs.replace(NOTICE, why="exit 1: second-line-of-a-key"))
    await notices(home, webhook(inbox)).tell(leak, "pipeline")
    [(_, body)] = inbox.posts
    assert json.loads(body)["data"]["why"] == "exit 1: [a secret]"


async def test_a_secret_that_is_not_there_yet_is_waited_for(inbox: Inbox, home: Path) -> None:
    """Once it is put there, the notice gets through."""
    told = notices(home, webhook(inbox, key=SecretRef("LATER")))
    with pytest.raises(Unreachable, match="there is no secret LATER"):
        await told.tell(DISPATCH, "pipeline")
    (home / "secrets/LATER").write_text(KEY)
    (home / "secrets/LATER").chmod(0o600)
    await told.tell(DISPATCH, "pipeline")
    assert len(inbox.posts) == 1


async def test_a_channel_hears_from_its_level_on_and_of_its_environments(inbox: Inbox, home: Path) -> None:
    """The log of the controller hears of what somebody may have to act on, beside them."""
    told = notices(
        home,
        webhook(inbox),
        webhook(inbox, name="warnings", level=Level.WARNING),
        webhook(inbox, name="pager", level=Level.CRITICAL, environments=("production",)),
    )

    async def heard(kind: str, environment: str) -> set[str]:
        return set(await told.channels(structs.replace(NOTICE, kind=kind, environment=environment)))

    assert await heard("promoted", "production") == {"pipeline"}
    assert await heard("question", "production") == {"pipeline", "warnings", "log"}
    assert await heard("rolled-back", "production") == {"pipeline", "warnings", "pager", "log"}
    assert await heard("rolled-back", "dev") == {"pipeline", "warnings", "log"}
    assert await heard("of a later version", "production") == {"pipeline", "warnings", "pager", "log"}


def test_every_kind_that_is_told_has_its_level() -> None:
    """No kind is written anywhere that the table lacks."""
    import re

    source = Path(__file__).parents[2] / "src/bleen"
    texts = "".join(path.read_text("utf-8") for path in source.rglob("*.py"))
    written = set(re.findall(r'Notice\("([a-z-]+)"|kind="([a-z-]+)"', texts))
    kinds = {one or other for one, other in written} - {""}
    assert kinds & {"glass-broken", "patch-failed", "frozen"}
    assert {kind for kind in kinds if kind.replace("-", "").isalpha()} <= set(LEVELS) | {"http"}


@given(st.text(), st.lists(st.text(min_size=6)))
def test_what_is_scrubbed_has_none_of_the_values(text: str, values: list[str]) -> None:
    """Longest first, so that nothing is left of one that has another in it."""
    ordered = sorted(values, key=len, reverse=True)
    clean = scrubbed(structs.replace(NOTICE, what=text + "".join(values), why="", next=""), ordered)
    assert not any(value in clean.what for value in ordered if value not in "[a secret]" * 3)
