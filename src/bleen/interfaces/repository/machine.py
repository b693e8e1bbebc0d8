"""A recipe as an image of a machine: a Packer template for Azure, and the scripts that make its base there.

The scripts are the same for every recipe; what differs stands in ``inputs/`` beside them, and in a few words of the template.
"""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from bleen.domain.base import Lock, Maker, Recipe
from bleen.domain.codec import digest_of
from bleen.domain.errors import InvalidInput
from bleen.providers.debian.unpack import ACCOUNTS

_RELEASES = {"bookworm": "12", "trixie": "13"}
"""What Azure calls the releases that it has machines of."""


def render_machine(recipe: Recipe, lock: Lock) -> dict[str, str]:
    """Return the text of every file by its path; InvalidInput for a whole system, and where Azure has no such release."""
    if recipe.builder is Maker.FULL:
        raise InvalidInput(
            f"{recipe.image} cannot be rendered for Packer",
            why="its template carries out the stages of the embedded builder, and the recipe has builder: full",
            next="a recipe of its own, with builder: embedded",
        )
    if recipe.suite not in _RELEASES:
        raise InvalidInput(
            f"there is no machine of {recipe.suite} in Azure that is known here",
            why=f"there is {', '.join(_RELEASES)}",
            next="correct suite in the recipe",
        )
    words = {
        "@IMAGE@": recipe.image,
        "@RELEASE@": _RELEASES[recipe.suite],
        "@LOCK@": digest_of(lock),
        "@VERSION@": _version(lock),
    }
    return {path: _filled(text, words) for path, text in _template()} | _inputs(recipe, lock)


def write_machine(folder: Path, rendered: Mapping[str, str], *, replace: bool = False) -> list[Path]:
    """Write the files below ``folder``, and return them; InvalidInput where one is there that is not so, unless ``replace``."""
    wanted = {folder / path: text for path, text in sorted(rendered.items())}
    other = [
        str(path.relative_to(folder)) for path, text in wanted.items() if path.exists() and path.read_text("utf-8") != text
    ]
    if other and not replace:
        raise InvalidInput(
            f"{len(other)} files in {folder} are others than would be written",
            why=", ".join(other),
            next="--replace writes over them; another folder leaves them alone",
            where=str(folder),
        )
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o755 if path.suffix == ".sh" else 0o644)
    return list(wanted)


def _template() -> Iterator[tuple[str, str]]:
    yield from _below(files("bleen.interfaces.repository") / "machine_template", "")


def _below(folder: Traversable, above: str) -> Iterator[tuple[str, str]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _below(entry, f"{above}{entry.name}/")
        elif entry.name.endswith((".hcl", ".sh")):
            yield f"{above}{entry.name}", entry.read_text("utf-8")


def _filled(text: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def _inputs(recipe: Recipe, lock: Lock) -> dict[str, str]:
    """Return what the scripts read, a line for each thing."""
    rules = recipe.hardening
    found = {
        "inputs/packages.txt": "".join(f"{p.digest.removeprefix('sha256:')} {p.name} {p.version}\n" for p in lock.packages),
        "inputs/exclude.txt": "".join(f"{pattern}\n" for pattern in recipe.exclude),
        "inputs/remove.txt": "".join(f"{pattern}\n" for pattern in rules.remove),
    }
    if not rules.logins:
        found["inputs/passwd"] = "".join(
            f"{name}:x:{uid}:{uid}:{name}:{home}:/usr/sbin/nologin\n" for name, uid, home in ACCOUNTS
        )
        found["inputs/group"] = "".join(f"{name}:x:{uid}:\n" for name, uid, _ in ACCOUNTS)
    return found


def _version(lock: Lock) -> str:
    """Return the version in a gallery, three numbers: the day on which the newest suite was signed."""
    newest = max(suite.date for suite in lock.suites)
    return f"{newest.year}.{newest.month}.{newest.day}"
