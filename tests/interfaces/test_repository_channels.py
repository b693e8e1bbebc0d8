"""The file of channels: read, and refused with its line."""

from pathlib import Path

import pytest

from bleen.app.platform import LocalPlatform
from bleen.domain.channel import Chat, Mail, Webhook
from bleen.domain.notice import Level
from bleen.domain.release import SecretRef
from bleen.interfaces.repository import InvalidFiles, validate_path
from bleen.interfaces.repository.channels import CHANNELS, load_channels
from bleen.interfaces.repository.reference import CHANNELS_EXAMPLE
from bleen.settings import read_settings


def test_the_example_is_read_as_it_is_meant(tmp_path: Path) -> None:
    """Three channels, each with its secrets."""
    path = tmp_path / "channels.yaml"
    path.write_text(CHANNELS_EXAMPLE)
    mail, chat, webhook = load_channels(path).channels
    assert isinstance(mail, Mail) and (mail.level, mail.environments) == (Level.CRITICAL, ("production",))
    assert isinstance(chat, Chat) and isinstance(webhook, Webhook) and webhook.level is Level.INFO
    assert (mail.password, chat.url) == (SecretRef("SMTP_PASSWORD"), SecretRef("RELEASE_ROOM"))
    assert webhook.key == SecretRef("PIPELINE_KEY")


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


def test_a_wrong_file_starts_nothing(tmp_path: Path) -> None:
    """`bleen up` says what is wrong, and leaves no home half-made."""
    file = tmp_path / "channels.yaml"
    for text in ("channels: [{type: mial, name: x}]\n", None):
        file.unlink(missing_ok=True)
        if text is not None:
            file.write_text(text)
        environ = {"BLEEN_HOME": str(tmp_path / "home"), "BLEEN_CHANNELS": str(file), "BLEEN_API_PORT": "0"}
        platform = LocalPlatform(read_settings(environ | {"BLEEN_GATEWAY_PORT": "0", "BLEEN_SERVICE_PORTS": "0"}))
        with pytest.raises(InvalidFiles, match=r"channels\.yaml"):
            platform.up()
        assert not (tmp_path / "home" / "token").exists()


def test_a_file_is_named_from_where_the_command_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controller that reads it runs somewhere else."""
    monkeypatch.chdir(tmp_path)
    assert read_settings({"BLEEN_CHANNELS": "channels.yaml"}).channels == str(tmp_path / "channels.yaml")
