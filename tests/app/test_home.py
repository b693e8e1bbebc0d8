"""The home of a platform, looked at by more than one `bleen up`, and after one that was killed."""

import threading
from pathlib import Path

import pytest

from bleen.app.home import check_home, make_home
from bleen.domain.errors import InvalidInput
from bleen.settings import read_settings


def test_a_home_whose_maker_was_killed_at_its_first_file_is_made_all_the_same(tmp_path: Path) -> None:
    """Nobody else has written there, and `bleen up` must not need a hand that cleans up."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "starting.lock").touch()
    (home / ".format.4711.tmp").write_text("")
    settings = read_settings({"BLEEN_HOME": str(home)})
    check_home(settings)
    make_home(settings)
    assert (home / "format").read_text() == "1"


def test_files_of_somebody_else_are_no_home(tmp_path: Path) -> None:
    """They stay as they are."""
    (tmp_path / ".format.4711.tmp").write_text("")
    (tmp_path / "thesis.odt").write_text("years of work")
    with pytest.raises(InvalidInput, match="was not made by this Bleen"):
        check_home(read_settings({"BLEEN_HOME": str(tmp_path)}))


@pytest.mark.parametrize("number", range(20))
def test_a_home_that_is_being_made_is_ours_at_every_moment(tmp_path: Path, number: int) -> None:
    """Another `bleen up` looks at it over and over, from before its first file to after its last."""
    settings = read_settings({"BLEEN_HOME": str(tmp_path / f"home-{number}")})
    settings.path.mkdir()
    maker = threading.Thread(target=make_home, args=[settings])
    maker.start()
    looks = 0
    while maker.is_alive() or looks == 0:
        check_home(settings)
        looks += 1
    maker.join()
    assert (settings.path / "platform.json").exists()
