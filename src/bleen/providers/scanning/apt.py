"""The machine's own apt, asked about one suite in folders of our own: what it answers, it has checked the signatures of.

Nothing of the machine's own state is read or changed but where it says its archives are. Needs no root.
"""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from debian.deb822 import Deb822

from bleen.domain.codec import Value
from bleen.domain.errors import NotFound, Unreachable

MACHINE = Path("/etc/apt")
_FRESH = 3600.0
"""Seconds for which an index is not asked for again."""
_UPDATE_SECONDS = 60.0
_DOWNLOAD_SECONDS = 300.0
_FIELD = re.compile(r"^(Package|Version|Source|Architecture): (.*)$", re.MULTILINE)
_DATE = re.compile(r"^Date: (.+)$", re.MULTILINE)


class Candidate(Value, frozen=True):
    """A package that a suite has."""

    name: str
    version: str


class Suite:
    """One suite, such as ``bookworm-security``, as the mirrors of this machine have it. Its verbs block."""

    def __init__(self, name: str, folder: Path, machine: Path = MACHINE) -> None:
        self.name = name
        self._folder = folder / name
        self._machine = machine

    def refresh(self) -> None:
        """Have an index that is at most an hour old; NotFound where the machine knows no such suite, Unreachable."""
        stamp = self._folder / "updated"
        if stamp.exists() and time.time() - stamp.stat().st_mtime < _FRESH and self._indexes():
            return
        for name in ("lists/partial", "cache/archives/partial", "sources", "packages"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        self._write_sources()
        self._run(("-q", "-o", "APT::Update::Error-Mode=any", "update"), _UPDATE_SECONDS)
        if not self._indexes():
            raise Unreachable(f"the mirror has no index of {self.name}")
        stamp.touch()

    def date(self) -> str:
        """Return when the archive signed what is known of the suite."""
        for path in sorted((self._folder / "lists").glob("*Release")):
            if found := _DATE.search(path.read_text("utf-8", "replace")):
                return found[1]
        return "an unknown day"

    def candidates(self) -> dict[str, list[Candidate]]:
        """Return every version of every package of the suite, by name."""
        found: dict[str, list[Candidate]] = {}
        for path in self._indexes():
            for paragraph in path.read_text("utf-8", "replace").split("\n\n"):
                fields = dict(_FIELD.findall(paragraph))
                if "Package" in fields:
                    found.setdefault(fields["Package"], []).append(Candidate(fields["Package"], fields["Version"]))
        return found

    def download(self, candidate: Candidate) -> Path:
        """Return the package as a file, whose digest the signed index covers; whoever reads it removes it."""
        before = set(self._packages())
        self._run(("-q", "download", f"{candidate.name}={candidate.version}"), _DOWNLOAD_SECONDS)
        (path,) = set(self._packages()) - before
        return path

    def _packages(self) -> list[Path]:
        return list((self._folder / "packages").glob("*.deb"))

    def _indexes(self) -> list[Path]:
        # Of an archive on this disk apt keeps links, which end with the archive.
        return sorted(path for path in (self._folder / "lists").glob("*_Packages") if path.is_file())

    def _write_sources(self) -> None:
        paragraphs = list(_of_suite(self._machine, self.name))
        if not paragraphs:
            raise NotFound(f"this machine's apt knows no archive of {self.name}")
        for old in (self._folder / "sources").iterdir():
            old.unlink()
        for number, (suffix, text) in enumerate(paragraphs):
            (self._folder / "sources" / f"{number}{suffix}").write_text(text)

    def _run(self, words: tuple[str, ...], seconds: float) -> None:
        apt = shutil.which("apt-get")
        if apt is None:
            raise NotFound("there is no apt-get on this machine")
        command = (apt, *self._options(), *words)
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds, cwd=self._folder / "packages")
        except subprocess.TimeoutExpired as error:
            raise Unreachable(f"apt-get took more than {seconds:g} s") from error
        if ended.returncode:
            lines = [line for line in ended.stderr.splitlines() if line.startswith(("E:", "W:"))]
            raise Unreachable(f"apt-get failed: {' / '.join(lines[:2]) or ended.stderr[-200:]}")

    def _options(self) -> Iterator[str]:
        settings = {
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": f"{self._folder}/sources",
            "Dir::State::lists": f"{self._folder}/lists",
            "Dir::State::status": "/dev/null",
            "Dir::Cache": f"{self._folder}/cache",
            "Acquire::Languages": "none",
            "Acquire::GzipIndexes": "false",
            "APT::Sandbox::User": "",
        }
        for name, value in settings.items():
            yield from ("-o", f"{name}={value}")


def _of_suite(machine: Path, suite: str) -> Iterator[tuple[str, str]]:
    """Yield what the machine says of one suite, and nothing of any other: the end of a file's name, and its text."""
    for path in sorted((machine / "sources.list.d").glob("*.sources")):
        for paragraph in Deb822.iter_paragraphs(path.read_text("utf-8", "replace"), use_apt_pkg=False):
            usable = paragraph.get("Enabled", "yes") == "yes" and "deb" in paragraph.get("Types", "").split()
            if usable and suite in paragraph.get("Suites", "").split():
                paragraph["Suites"], paragraph["Types"] = suite, "deb"
                yield ".sources", paragraph.dump() or ""
    for path in (machine / "sources.list", *sorted((machine / "sources.list.d").glob("*.list"))):
        for line in path.read_text("utf-8", "replace").splitlines() if path.is_file() else []:
            if line.startswith("deb ") and suite in line.split():
                yield ".list", f"{line}\n"
