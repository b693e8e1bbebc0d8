"""Secrets in a folder."""

from pathlib import Path

import pytest

from bleen.domain.errors import InvalidInput, NotFound
from bleen.providers.local.secrets import FolderSecrets


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o700)
    return folder


def put(folder: Path, name: str, value: str, mode: int = 0o600) -> None:
    (folder / name).write_text(value)
    (folder / name).chmod(mode)


async def test_a_secret_is_its_file(folder: Path) -> None:
    """Without the newline that editors add."""
    put(folder, "KEY", "a\nb\n")
    secrets = FolderSecrets(folder.parent)
    assert await secrets.resolve("KEY") == "a\nb"


async def test_a_missing_secret_says_where_to_put_it(folder: Path) -> None:
    """With the path, and never another secret's value."""
    secrets = FolderSecrets(folder.parent)
    with pytest.raises(NotFound, match="secrets/KEY"):
        await secrets.resolve("KEY")


async def test_a_secret_that_others_can_read_is_refused(folder: Path) -> None:
    """It is none any more."""
    put(folder, "KEY", "value", 0o644)
    with pytest.raises(InvalidInput, match="chmod 600"):
        await FolderSecrets(folder.parent).resolve("KEY")


@pytest.mark.parametrize("name", ["../token", "/etc/passwd", "", "a/b", ".hidden", "a b"])
async def test_a_name_cannot_lead_out_of_the_folder(folder: Path, name: str) -> None:
    """Nor name a hidden file."""
    with pytest.raises(InvalidInput):
        await FolderSecrets(folder.parent).resolve(name)
