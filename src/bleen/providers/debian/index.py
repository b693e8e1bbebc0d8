"""The packages of a suite, and the newest of each over several suites."""

import asyncio
import lzma
import re
from collections.abc import Iterable
from functools import cached_property

from debian.debian_support import Version

from bleen.domain.base import Locked
from bleen.domain.errors import BuildFailed
from bleen.providers.debian.apt import Archive
from bleen.providers.debian.mirror import MirrorClient
from bleen.providers.debian.release import SignedIndex

_FIELD = re.compile(r"^([A-Za-z0-9-]+): *(.*(?:\n[ \t].*)*)$", re.MULTILINE)


class Candidate:
    """One package of one version, as an index describes it."""

    def __init__(self, name: str, text: str, suite: str) -> None:
        self.name = name
        self.suite = suite
        self.text = text

    @cached_property
    def fields(self) -> dict[str, str]:
        return {name: " ".join(value.split()) for name, value in _FIELD.findall(self.text)}

    @cached_property
    def version(self) -> Version:
        return Version(self.fields["Version"])

    @property
    def locked(self) -> Locked:
        fields = self.fields
        # `Source: glibc (2.36-9)` has the version where it differs from that of the package.
        source, _, version = fields.get("Source", self.name).partition(" ")
        return Locked(
            name=self.name,
            version=fields["Version"],
            architecture=fields["Architecture"],
            source=source,
            source_version=version.strip("() "),
            suite=self.suite,
            path=fields["Filename"],
            size=int(fields["Size"]),
            digest=f"sha256:{fields['SHA256']}",
        )


class Packages:
    """The newest candidate of every name, whichever suite has it."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self._newest: dict[str, Candidate] = {}
        for candidate in candidates:
            known = self._newest.get(candidate.name)
            if known is None or known.version < candidate.version:
                self._newest[candidate.name] = candidate

    def find(self, name: str) -> Candidate | None:
        """Return the newest package of that very name."""
        return self._newest.get(name)

    def names(self) -> list[str]:
        """Return every name."""
        return list(self._newest)

    @cached_property
    def providers(self) -> dict[str, list[Candidate]]:
        """Who provides a virtual package, the more ordinary ones first."""
        found: dict[str, list[Candidate]] = {}
        for candidate in self._newest.values():
            if "\nProvides:" in candidate.text:
                for provided in candidate.fields["Provides"].split(","):
                    found.setdefault(provided.split("(")[0].strip(), []).append(candidate)
        return {name: sorted(some, key=_ordinary) for name, some in found.items()}

    @property
    def essential(self) -> list[str]:
        """The names that the distribution calls essential."""
        return sorted(c.name for c in self._newest.values() if "\nEssential: yes" in c.text)


def _ordinary(candidate: Candidate) -> tuple[int, str]:
    order = ("required", "important", "standard", "optional", "extra")
    priority = candidate.fields.get("Priority", "extra")
    return (order.index(priority) if priority in order else len(order), candidate.name)


async def read_index(
    client: MirrorClient, archive: Archive, signed: SignedIndex, components: Iterable[str], architecture: str
) -> list[Candidate]:
    """Return the packages of a suite; every byte of the index is covered by the suite's signature."""
    found: list[Candidate] = []
    for component in components:
        name = f"{component}/binary-{architecture}/Packages.xz"
        listed = signed.files.get(name)
        if listed is None:
            raise BuildFailed(
                f"{archive.suite} has no packages of {component} for {architecture}",
                why=f"its signed index names no {name}",
                next="correct components in the recipe",
            )
        folder = f"{archive.address}/dists/{archive.suite}/{component}/binary-{architecture}"
        address = f"{folder}/by-hash/SHA256/{listed.digest[7:]}" if signed.by_hash else f"{folder}/Packages.xz"
        data = await client.get_checked(address, listed.digest, listed.size)
        found += await asyncio.to_thread(parse_index, data, archive.suite)
    return found


def parse_index(data: bytes, suite: str) -> list[Candidate]:
    """Return the packages that an index describes."""
    text = lzma.decompress(data).decode("utf-8", "replace")
    found = []
    for paragraph in text.split("\n\n"):
        # Debian writes the name first; anything else is looked for.
        if name := re.search(r"(?m)^Package: (\S+)$", paragraph):
            found.append(Candidate(name[1], f"\n{paragraph.strip()}", suite))
    return found
