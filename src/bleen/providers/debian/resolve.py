"""Which packages a list of wishes needs: dependencies, alternatives, virtual packages and conflicts, without surprises.

Recommendations are not followed. Equal indexes give equal answers: nothing depends on the order of wishes or of time.
"""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from debian.debian_support import Version

from bleen.domain.codec import Value
from bleen.domain.errors import BuildFailed
from bleen.providers.debian.index import Candidate, Packages

ALWAYS = ("base-files", "dash")
"""Who the system is, under which licences, and a shell, which is how programs of an image are started."""
_RELATION = re.compile(r"^(?P<name>[a-z0-9][a-z0-9+.-]*)(?::[a-z0-9-]+)?(?: *\((?P<sign><<|<=|=|>=|>>) *(?P<version>[^)]+)\))?")


class Relation(Value, frozen=True):
    """``python3 (>= 3.11)``."""

    name: str
    sign: str = ""
    version: str = ""

    def met_by(self, candidate: Candidate) -> bool:
        """Return whether ``candidate``, which is of that name or provides it, is what is meant."""
        if not self.sign:
            return True
        if candidate.name == self.name:
            return _compare(candidate.version, self.sign, self.version)
        provided = re.search(rf"(?:^|, *){re.escape(self.name)} *\(= *([^)]+)\)", candidate.fields.get("Provides", ""))
        return provided is not None and _compare(Version(provided[1]), self.sign, self.version)


def resolve(packages: Packages, wanted: Iterable[str], *, essential: bool, without: Iterable[str] = ()) -> list[Candidate]:
    """Return every package that ``wanted`` needs, by name; BuildFailed says what cannot be had.

    ``without`` are left out, whoever depends on them.
    """
    chosen: dict[str, Candidate] = {}
    left_out = set(without)
    waiting = [
        (Relation(name), "the recipe") for name in sorted({*wanted, *ALWAYS, *(packages.essential if essential else ())})
    ]
    while waiting:
        later: list[tuple[Relation, str]] = []
        for relation, asker in waiting:
            candidate = _choose(packages, (relation,), chosen, asker)
            if candidate.name in chosen or candidate.name in left_out:
                continue
            chosen[candidate.name] = candidate
            for alternatives in depends(candidate):
                if not any(_chosen_for(one, chosen) for one in alternatives):
                    taken = _choose(packages, alternatives, chosen, candidate.name)
                    later.append((Relation(taken.name), candidate.name))
        waiting = later
    _refuse_conflicts(chosen)
    return [chosen[name] for name in sorted(chosen)]


def depends(candidate: Candidate) -> Iterator[tuple[Relation, ...]]:
    """Yield what a package depends on, each with its alternatives."""
    for field in ("Pre-Depends", "Depends"):
        yield from relations(candidate.fields.get(field, ""))


def relations(text: str) -> Iterator[tuple[Relation, ...]]:
    """Yield the relations of a field, each with its alternatives."""
    for group in filter(None, map(str.strip, text.split(","))):
        found = [_RELATION.match(one.strip()) for one in group.split("|")]
        yield tuple(Relation(m["name"], m["sign"] or "", (m["version"] or "").strip()) for m in found if m)


def _choose(packages: Packages, alternatives: tuple[Relation, ...], chosen: dict[str, Candidate], asker: str) -> Candidate:
    """Return the first that can be had; of those that provide it, one that is there already."""
    for relation in alternatives:
        own = packages.find(relation.name)
        if own is not None and relation.met_by(own):
            return own
        providers = [one for one in packages.providers.get(relation.name, []) if relation.met_by(one)]
        if providers:
            return next((one for one in providers if one.name in chosen), providers[0])
    raise _missing(packages, alternatives, asker)


def _chosen_for(relation: Relation, chosen: dict[str, Candidate]) -> bool:
    own = chosen.get(relation.name)
    if own is not None and relation.met_by(own):
        return True
    provides = re.compile(rf"(?:^|, *){re.escape(relation.name)}(?: |,|$)")
    return any(provides.search(one.fields.get("Provides", "")) and relation.met_by(one) for one in chosen.values())


def _missing(packages: Packages, alternatives: tuple[Relation, ...], asker: str) -> BuildFailed:
    first = alternatives[0]
    known = packages.find(first.name)
    if known is not None:
        why = f"{asker} needs {first.name} {first.sign} {first.version}, and the archive has {known.version}"
        return BuildFailed(f"{asker} cannot be installed", why=why, next="correct suite or packages in the recipe")
    near = get_close_matches(first.name, packages.names(), n=1)
    advice = f"did you mean {near[0]}?" if near else "correct packages in the recipe"
    return BuildFailed(f"there is no package {first.name}", why=f"{asker} needs it, and no suite has it", next=advice)


def _refuse_conflicts(chosen: dict[str, Candidate]) -> None:
    for candidate in chosen.values():
        for field in ("Conflicts", "Breaks"):
            for group in relations(candidate.fields.get(field, "")):
                other = chosen.get(group[0].name)
                if other is not None and other is not candidate and group[0].met_by(other):
                    raise BuildFailed(
                        f"{candidate.name} and {other.name} cannot be in one image",
                        why=f"{candidate.name} says so: {field} {group[0].name} {group[0].sign} {group[0].version}".rstrip(),
                        next="choose one of them in the recipe",
                    )


def _compare(version: Version, sign: str, other: str) -> bool:
    wanted = Version(other)
    match sign:
        case "<<":
            return bool(version < wanted)
        case "<=":
            return bool(version <= wanted)
        case "=":
            return bool(version == wanted)
        case ">=":
            return bool(version >= wanted)
        case _:
            return bool(version > wanted)
