"""`bleen azure smoke`, as far as it gets without a subscription."""

import json
from pathlib import Path

import pytest

from bleen.app.platform import LocalPlatform
from bleen.interfaces.cli import run
from bleen.settings import read_settings

SITE = {
    "environment": "dev",
    "region": "weu",
    "subscription": "00000000-0000-0000-0000-000000000001",
    "group": "rg-bleen-dev-weu",
    "suffix": "bleen-dev-weu",
    "gallery": "gal",
    "gallery_group": "rg-bleen-dev-weu",
    "location": "westeurope",
    "account": "https://127.0.0.1:9/account",
    "endpoint": "https://127.0.0.1:9",
}


def smoke(folder: Path, *words: str, **environ: str) -> int:
    return run(LocalPlatform(read_settings(environ, folder)), ["azure", "smoke", *words])


def test_it_asks_which_site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither an option nor a setting names one."""
    assert smoke(tmp_path) == 2
    assert "BLEEN_AZURE_SITE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "why"),
    [("nothing", "malformed"), ("{}", "environment"), (json.dumps(SITE | {"colour": "blue"}), "colour")],
)
def test_a_file_that_is_no_site_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, why: str) -> None:
    """With what is wrong, where, and what writes a good one."""
    path = tmp_path / "site.json"
    path.write_text(content)
    assert smoke(tmp_path, BLEEN_AZURE_SITE=str(path)) == 2
    told = capsys.readouterr().err
    assert why in told and "site.json" in told and "terraform output" in told


def test_a_site_that_nobody_can_reach_is_bad_in_every_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody is signed in here: each look says so, exit code 3, and what was not verified is told all the same."""
    path = tmp_path / "site.json"
    path.write_text(json.dumps(SITE))
    assert smoke(tmp_path, "--site", str(path), "--json") == 3
    told = json.loads(capsys.readouterr().out)
    assert [each["level"] for each in told["findings"]] == ["bad"] * 5
    assert told["ok"] is False and len(told["not_verified"]) >= 4
