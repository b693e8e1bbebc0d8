"""The file of channels: read, and refused with its line."""

from pathlib import Path

import pytest

from bleen.domain.channel import Mail, Webhook, secrets_of
from bleen.domain.notice import Level
from bleen.interfaces.repository import InvalidFiles, validate_path
from bleen.interfaces.repository.channels import CHANNELS, load_channels
from bleen.interfaces.repository.reference import CHANNELS_EXAMPLE


def test_the_example_is_read_as_it_is_meant(tmp_path: Path) -> None:
    """Three channels, each with its secrets."""
    path = tmp_path / "channels.yaml"
    path.write_text(CHANNELS_EXAMPLE)
    mail, chat, webhook = load_channels(path).channels
    assert isinstance(mail, Mail) and (mail.level, mail.environments) == (Level.CRITICAL, ("production",))
    assert isinstance(webhook, Webhook) and webhook.level is Level.INFO
    assert [secrets_of(one) for one in (mail, chat, webhook)] == [("SMTP_PASSWORD",), ("RELEASE_ROOM",), ("PIPELINE_KEY",)]


@pytest.mark.parametrize(
    ("wrong", "right", "line", "what"),
    [
        ("name: release-room", "name: on-call", 12, "two channels are called `on-call`"),
        ("type: chat", "type: pigeon", 11, "pigeon"),
        ("level: warning", "level: loud", 13, "loud"),
        ("key: {secret: PIPELINE_KEY}", "key: whsec_abc", 18, "key"),
        ("    key: {secret: PIPELINE_KEY}\n", "", 15, "key"),
        ("smtp.example.org:587", "smtp.example.org", 6, "server"),
        ("[on-call@example.org]", "[on-call]", 8, "to"),
    ],
)
def test_a_mistake_is_named_with_its_line(repository: Path, wrong: str, right: str, line: int, what: str) -> None:
    """By validate, and by the controller that reads it."""
    path = repository / CHANNELS
    path.parent.mkdir()
    path.write_text(CHANNELS_EXAMPLE.replace(wrong, right, 1))
    for asked in (path, repository):
        found = [p for p in validate_path(asked) if p.file == str(path)]
        assert any(one.line == line and what in f"{one.what} {one.why} {one.instead}" for one in found), found
    with pytest.raises(InvalidFiles):
        load_channels(path)
