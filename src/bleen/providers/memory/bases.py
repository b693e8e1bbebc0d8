"""Base images in memory: for tests and dry runs. Nothing is fetched; a base has the packages that its recipe names, alone."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import structs

from bleen.domain.base import HOST, SCRATCH, BaseOrder, Distributed, Lock, Locked, Stage
from bleen.domain.codec import encode
from bleen.domain.errors import BuildFailed, NotFound, Unreachable
from bleen.domain.image import Digest, File, Image
from bleen.domain.patching import Fix, Patching
from bleen.ports import Tell
from bleen.providers.memory.images import MemoryImages

_SIGNED = datetime(2026, 1, 1, tzinfo=UTC)
"""When every suite here was signed."""


class MemoryBases:
    """Keeps the port `Bases` among ``images``. What happens outside is asked for: `take_mirror`, `lose`, `publish`."""

    def __init__(self, images: MemoryImages) -> None:
        self._images = images
        self._packages: dict[Digest, tuple[Locked, ...]] = {}
        self._built: dict[bytes, Image] = {}
        self._orders: dict[Digest, BaseOrder] = {}
        self._away = False
        self._lost: set[str] = set()
        self._fixes: list[Fix] = []

    def take_mirror(self, away: bool = True) -> None:
        """Let no mirror answer, or answer again."""
        self._away = away

    def lose(self, package: str, lost: bool = True) -> None:
        """Let the archive have no such package, or have it again."""
        (self._lost.add if lost else self._lost.discard)(package)

    async def build(self, order: BaseOrder, tell: Tell) -> Image:
        known = await self.known(order)
        if known is not None:
            tell(Stage("base", "as it was built before", cached=True))
            return known
        image = self.keep(order, self.prepare(order))
        tell(Stage("base", f"{len(order.recipe.packages)} packages"))
        return image

    async def known(self, order: BaseOrder) -> Image | None:
        """Return what was built by the order before; None where it must be built."""
        known = None if order.upgrade else self._built.get(_asked(order))
        return await self._images.find(known.digest) if known else None

    def prepare(self, order: BaseOrder) -> Image:
        """Return what the base would be: a candidate, not kept yet."""
        if self._away:
            raise Unreachable("the mirror does not answer", why="it was taken away", next="try again")
        if missing := sorted(self._lost & set(order.recipe.packages)):
            raise BuildFailed(f"there is no package {missing[0]}", why="it was lost", next="correct packages in the recipe")
        newest = {fix.package: fix.fixed for fix in self._fixes}
        packages = tuple(_locked(name, order.recipe.suite, newest.get(name, "1.0")) for name in sorted(order.recipe.packages))
        data = encode([order.recipe, [package.version for package in packages]])
        file = File(path="recipe.json", digest=f"sha256:{hashlib.sha256(data).hexdigest()}", size=len(data))
        source = Distributed(order.recipe, Lock(order.recipe.asks, "all", (), packages), order.folder)
        image = self._images.draft(order.recipe.image, "1", (file,), SCRATCH, source)
        self._packages[image.digest] = packages
        return image

    def keep(self, order: BaseOrder, candidate: Image) -> Image:
        """Make the candidate the base of its order, and return it."""
        image = self._built[_asked(order)] = self._images.keep(candidate)
        self._orders[image.digest] = structs.replace(order, upgrade=False)
        return image

    async def renew(self, digest: Digest, tell: Tell) -> Image:
        return await self.build(await self.order_of(digest), tell)

    async def order_of(self, digest: Digest) -> BaseOrder:
        """Return the order to build the base of ``digest`` anew; NotFound."""
        image = await self._images.find(digest)
        base = digest if image.base == SCRATCH else image.base
        if base not in self._orders:
            raise NotFound(f"{digest} stands on no base of a recipe", next="bleen image list")
        return structs.replace(self._orders[base], upgrade=True)

    async def packages(self, digest: Digest) -> Sequence[Locked]:
        image = await self._images.find(digest)
        return self._packages.get(image.base if image.base.startswith("sha256:") else digest, ())

    def publish(self, fix: Fix) -> None:
        """Let the archive have a fix for every base that has its package, from the next lock on."""
        self._fixes.append(fix)

    async def patching(self, digest: Digest) -> Patching:
        image = self._images.described(digest)
        base = digest if image.base == SCRATCH else image.base
        if base == HOST:
            return Patching(base=HOST)
        if self._away:
            return Patching(base=base, patched=_SIGNED, trouble="the mirror does not answer")
        has = {package.name: package.version for package in self._packages[base]}
        newest = {fix.package: fix for fix in self._fixes}.values()
        fixes = tuple(fix for fix in newest if has.get(fix.package, fix.fixed) != fix.fixed)
        return Patching(base=base, patched=_SIGNED, checked=_SIGNED, fixes=fixes)


def _asked(order: BaseOrder) -> bytes:
    return encode(structs.replace(order, upgrade=False))


def _locked(name: str, suite: str, version: str) -> Locked:
    digest = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
    return Locked(name, version, "all", name, suite, f"pool/{name}.deb", len(name), digest)
