"""The guide to notices: what it tells receivers to do holds for what is sent."""

import base64
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bleen.providers.notices.webhook import key_bytes, sign

GUIDE = Path(__file__).parents[2] / "docs/guides/notices.md"
KEY = "whsec_" + base64.b64encode(bytes(range(32))).decode()
Check = Callable[[str, dict[str, str], bytes], bool]


@pytest.fixture
def is_genuine() -> Check:
    """What the guide tells receivers to write."""
    [code] = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    check: Check = names["is_genuine"]
    return check


def headers(body: bytes, at: int) -> dict[str, str]:
    signature = sign(key_bytes(KEY), "msg_1", at, body)
    return {"webhook-id": "msg_1", "webhook-timestamp": str(at), "webhook-signature": signature}


def test_a_receiver_that_does_as_the_guide_says_takes_what_is_sent(is_genuine: Check) -> None:
    """Beside the signature of a second key, too, as while keys are changed."""
    sent = headers(b"{}", int(time.time()))
    assert is_genuine(KEY, sent, b"{}")
    assert is_genuine(KEY, {**sent, "webhook-signature": f"v1,other {sent['webhook-signature']}"}, b"{}")


def test_a_receiver_that_does_as_the_guide_says_takes_nothing_else(is_genuine: Check) -> None:
    """Another body, another id, another key, or what was sent long ago."""
    now = int(time.time())
    sent = headers(b"{}", now)
    assert not is_genuine(KEY, sent, b"[]")
    assert not is_genuine(KEY, {**sent, "webhook-id": "msg_2"}, b"{}")
    assert not is_genuine("whsec_" + base64.b64encode(bytes(32)).decode(), sent, b"{}")
    assert not is_genuine(KEY, headers(b"{}", now - 301), b"{}")
