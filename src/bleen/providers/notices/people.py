"""A notice for people, by mail or in a chat: whatever the library apprise speaks to."""

import asyncio
import logging
from urllib.parse import quote, urlencode

from bleen.domain.channel import Mail
from bleen.domain.notice import Dispatch

PATIENCE = 40.0
"""Seconds that a server may take: sending itself cannot be interrupted, and ends in a thread of its own."""


class PeopleSender:
    """Sends to one address of apprise's kind."""

    def __init__(self, url: str) -> None:
        self._url = url
        # What it says of a failure may have an address in it, tokens included.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)

    async def send(self, dispatch: Dispatch) -> str:
        """Return why it was not taken; empty where it was."""
        import apprise  # 7 MB, for whoever has such a channel

        service = apprise.Apprise()
        if not service.add(self._url):
            return "its address is none that apprise knows"
        title, body = words_of(dispatch)
        try:
            async with asyncio.timeout(PATIENCE):
                taken = await service.async_notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT)
        except TimeoutError:
            return f"its server took longer than {PATIENCE:g} s"
        return "" if taken else "its server did not take it, or did not answer"


def words_of(dispatch: Dispatch) -> tuple[str, str]:
    """Return a title of one line, and the rest."""
    told = dispatch.notice
    title = " ".join(f"[{told.environment or 'bleen'}] {told.level}: {told.what}".split())
    lines = [told.what, told.why and f"Why: {told.why}", told.next and f"Next: {told.next}"]
    lines += [told.rollout and f"Rollout: {told.rollout} ({told.release})", f"{dispatch.at:%Y-%m-%d %H:%M:%S %Z}"]
    return title, "\n".join(filter(None, lines))


def mail_url(mail: Mail, password: str) -> str:
    """Return ``mail`` as apprise spells it."""
    scheme = "mailto" if mail.security == "none" else "mailtos"
    mode = {} if mail.security == "none" else {"mode": "ssl" if mail.security == "tls" else "starttls"}
    who = f"{quote(mail.user, safe='')}:{quote(password, safe='')}@" if mail.user else ""
    host = mail.server.partition(":")[0]
    query = {"from": mail.sender, "to": ",".join(mail.to), "smtp": host, **mode}
    return f"{scheme}://{who}{mail.server}/?{urlencode(query)}"
