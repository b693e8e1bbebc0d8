"""All channels of a platform. No value of a secret of the home goes through any of them, whoever wrote it into a text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, assert_never

from msgspec import structs

from bleen.domain.channel import AnyChannel, Channels, Chat, Mail, Webhook
from bleen.domain.errors import BleenError, Unreachable
from bleen.domain.notice import Dispatch, Notice
from bleen.domain.release import SecretRef
from bleen.ports import Notices, Secrets
from bleen.providers.notices.people import PeopleSender, mail_url
from bleen.providers.notices.webhook import WebhookSender

HIDDEN = "[a secret]"
_SHORTEST = 6
"""Characters: shorter values are words that texts have for other reasons."""


class Sender(Protocol):
    """Sends to one channel."""

    async def send(self, dispatch: Dispatch) -> str:
        """Return why it was not taken; empty where it was."""


class ChannelNotices:
    """Port `Notices`: the channels of a file, beside those of ``besides``."""

    def __init__(self, channels: Channels, secrets: Secrets, folder: Path, besides: Notices) -> None:
        self._channels: Mapping[str, AnyChannel] = {channel.name: channel for channel in channels.channels}
        self._secrets = secrets
        self._folder = folder
        self._besides = besides

    async def channels(self, notice: Notice) -> Sequence[str]:
        """See `bleen.ports.Notices`."""
        mine = [name for name, channel in self._channels.items() if channel.hears(notice)]
        return [*mine, *await self._besides.channels(notice)]

    async def tell(self, dispatch: Dispatch, channel: str) -> None:
        """See `bleen.ports.Notices`."""
        clean = structs.replace(dispatch, notice=scrubbed(dispatch.notice, self._values()))
        if channel not in self._channels:
            await self._besides.tell(clean, channel)
            return
        try:
            why = await (await self._sender(self._channels[channel])).send(clean)
        except BleenError as error:  # its secret is not there yet: somebody may put it there
            why = str(error.what)
        if why:
            next = "look at the file that BLEEN_CHANNELS names"
            raise Unreachable(f"the notice {dispatch.notice.kind} did not get through to {channel}", why=why, next=next)

    async def _sender(self, channel: AnyChannel) -> Sender:
        """Return what sends to it. Secrets are read each time: a new value counts from the next notice on."""
        match channel:
            case Webhook(url=url, key=key):
                return WebhookSender(await self._value(url), await self._value(key))
            case Mail(password=password):
                return PeopleSender(mail_url(channel, await self._value(password or "")))
            case Chat(url=url):
                return PeopleSender(await self._value(url))
            case _:
                assert_never(channel)

    async def _value(self, text: str | SecretRef) -> str:
        return await self._secrets.resolve(text.secret) if isinstance(text, SecretRef) else text

    def _values(self) -> list[str]:
        """Return the values of all secrets of the home, and each line of those that have several, the longest first."""
        files = [path for path in self._folder.iterdir() if path.is_file()] if self._folder.is_dir() else []
        whole = [path.read_text("utf-8", errors="replace").strip() for path in files]
        texts = {*whole, *(line.strip() for value in whole for line in value.splitlines())}
        return sorted((text for text in texts if len(text) >= _SHORTEST), key=len, reverse=True)


def scrubbed(notice: Notice, values: Sequence[str]) -> Notice:
    """Return ``notice`` with ``HIDDEN`` for each of ``values``: the last words of an instance may have one in them."""

    def clean(text: str) -> str:
        for value in values:
            text = text.replace(value, HIDDEN)
        return text

    return structs.replace(notice, what=clean(notice.what), why=clean(notice.why), next=clean(notice.next))
