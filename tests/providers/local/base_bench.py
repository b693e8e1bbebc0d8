"""What the tests of local base images share: a home, a mirror of the test's own, and an application to stand on a base."""

from pathlib import Path

from bleen.domain.base import BaseOrder, Stage
from bleen.domain.image import Directory, Image
from bleen.providers.local.images import LocalBases, LocalImages
from tests.contracts.bases import build
from tests.fixtures.debian import NOW, SUITE, Deb, LittleMirror
from tests.providers.local.image_bench import write_app

FIXED = Deb("libtool", "1.1", files={"usr/lib/libtool.so": "tool 1.1\n"})


def deaf(_: Stage) -> None:
    """Hear nothing."""


class Bench:
    """A home and a mirror; the recipe's folder is the mirror's."""

    def __init__(self, folder: Path, mirror: LittleMirror) -> None:
        self.mirror = mirror
        self.folder = mirror.folder
        self.home = folder / "home"
        self.now = NOW
        self.bases = LocalBases(self.home, clock=lambda: self.now)
        self.images = LocalImages(self.home)
        self.take_mirror = mirror.close
        write_app(self.folder / "app")
        (self.folder / "app/hello.py").unlink()

    def order(self, *, upgrade: bool = False, image: str = "little", **changes: object) -> BaseOrder:
        return BaseOrder(self.mirror.recipe(image=image, **changes), str(self.folder), upgrade)

    def application(self) -> tuple[Directory, str]:
        return Directory("app"), str(self.folder)

    def lose(self, package: str) -> None:
        self.mirror.suites[SUITE] = tuple(deb for deb in self.mirror.suites[SUITE] if deb.name != package)

    def fix(self) -> None:
        self.mirror.offer(security=(Deb("tool", "1.1", {"Depends": "libtool"}, {"usr/bin/tool": "#!/bin/sh\n"}),))

    async def build(self, **changes: object) -> Image:
        return (await build(self, self.order(**changes)))[0]  # type: ignore[arg-type]

    async def text(self, path: str, **changes: object) -> str:
        return (self.images.tree((await self.build(**changes)).digest) / path).read_text()
