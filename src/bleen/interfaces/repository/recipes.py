"""Recipes of base images, ``infrastructure/images/<name>.yaml``."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from bleen.domain.base import HOST, BaseOrder, Recipe, odds
from bleen.domain.codec import convert
from bleen.domain.errors import NotFound
from bleen.interfaces.repository.document import Document, locate, plain_value, read_document
from bleen.interfaces.repository.problem import InvalidFiles, Problem, errors, in_order
from bleen.interfaces.repository.shape import mismatches

RECIPES = "infrastructure/images"


@dataclass(frozen=True, slots=True)
class LoadedRecipe:
    """A recipe and where it was read from."""

    recipe: Recipe
    path: Path

    def order(self, *, upgrade: bool = False) -> BaseOrder:
        """Return the order to build it, by its lock or, with ``upgrade``, by a new one."""
        return BaseOrder(recipe=self.recipe, folder=str(self.path.parent), upgrade=upgrade)


def recipes(root: Path) -> tuple[Path, ...]:
    """Return the recipes of the repository, by name."""
    return tuple(sorted((root / RECIPES).glob("*.yaml")))


def find_recipe(root: Path, name: str) -> LoadedRecipe:
    """Return the recipe called ``name``; NotFound says which there are, InvalidFiles what is wrong with its file."""
    path = root / RECIPES / f"{name}.yaml"
    if not path.is_file():
        known = [found.stem for found in recipes(root)]
        near = get_close_matches(name, known, n=1)
        raise NotFound(
            f"there is no recipe {name} in {root / RECIPES}",
            why=f"there is {', '.join(known)}" if known else "there is none at all",
            next=f"did you mean {near[0]}?" if near else f"write {RECIPES}/{name}.yaml, or base: {HOST} in the service file",
        )
    recipe, problems = examine_recipe(path)
    if recipe is None or errors(problems):
        raise InvalidFiles(errors(problems))
    return LoadedRecipe(recipe, path)


def examine_recipe(path: Path) -> tuple[Recipe | None, list[Problem]]:
    """Return the recipe, if its file has the right shape, and every problem of it."""
    document = read_document(path)
    problems = [*document.problems, *mismatches(document, Recipe)]
    if problems or document.root is None:
        return None, in_order(problems)
    recipe: Recipe = convert(plain_value(document.root), Recipe)
    return recipe, in_order(_contradictions(document, recipe, path))


def _contradictions(document: Document, recipe: Recipe, path: Path) -> list[Problem]:
    found = []
    if recipe.image != path.stem:
        what = f"the image is called `{recipe.image}`, and its file `{path.name}`"
        why = "services and commands find a recipe by the name of its file"
        found.append(_at(document, "image", what, why, f"image: {path.stem}"))
    if recipe.image == HOST:
        what, why = f"no recipe can be called `{HOST}`", "in a service file that means the machine itself"
        found.append(_at(document, "image", what, why, "image: another-name"))
    found += [_at(document, one.key, one.what, one.why, one.instead) for one in odds(recipe)]
    if recipe.mirror and recipe.mirror.keyring and not (path.parent / recipe.mirror.keyring).is_file():
        what = f"`{recipe.mirror.keyring}` is not there"
        found.append(
            _at(document, "mirror", what, f"no such file: {path.parent / recipe.mirror.keyring}", "keyring: another path")
        )
    return found


def _at(document: Document, key: str, what: str, why: str, instead: str) -> Problem:
    place = locate(document.root, key) if document.root else None
    return document.problem(place, what, why=why, instead=instead)
