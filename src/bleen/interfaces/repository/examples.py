"""Where the example repository is: beside the source, or in the installed package."""

from pathlib import Path

from bleen.domain.errors import NotFound

_PACKAGE = Path(__file__).resolve().parents[2]


def examples_folder() -> Path:
    """Return the folder of the example GitOps repository; NotFound where it was left out of the installation."""
    return _holding("applications")


def infrastructure_folder() -> Path:
    """Return the folder of what a production in Azure stands on; NotFound where it was left out of the installation."""
    return _holding("infrastructure") / "infrastructure"


def _holding(part: str) -> Path:
    for folder in (_PACKAGE / "examples", _PACKAGE.parents[1] / "examples"):
        if (folder / part).is_dir():
            return folder
    raise NotFound("the examples are not installed", why=f"nothing is in {_PACKAGE / 'examples'}", next="reinstall bleen")
