"""Where the example repository is: beside the source, or in the installed package."""

from pathlib import Path

from bleen.domain.errors import NotFound


def examples_folder() -> Path:
    """Return the folder of the example GitOps repository; NotFound where it was left out of the installation."""
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "examples", package.parents[1] / "examples"):
        if (folder / "applications").is_dir():
            return folder
    raise NotFound("the examples are not installed", why=f"nothing is in {package / 'examples'}", next="reinstall bleen")
