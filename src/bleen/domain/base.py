"""Base images: what a recipe asks of a distribution, and the lock that pins every package of it."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, field

from bleen.domain.codec import Tagged, Value, digest_of
from bleen.domain.image import BaseName, Digest, RelativePath

HOST = "host"
"""In the place of a base's digest: the image runs on the machine's own interpreter and libraries."""
SCRATCH = "scratch"
"""In the place of a base's digest: the image stands on nothing, because it is a base itself."""

PackageName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9+.-]+$",
        description="The name of a package of the distribution.",
        examples=["python3-minimal"],
    ),
]
Pattern = Annotated[
    str,
    Meta(
        pattern=r"^[^/\s\\][^\\\x00-\x1f]*$",
        description="Paths without a leading slash; `*` is any text, slashes too.",
        examples=["usr/share/man/*"],
    ),
]
Address = Annotated[
    str,
    Meta(pattern=r"^https?://[^\s]+$", description="The address of an archive.", examples=["https://mirror.example/debian"]),
]

UNREAD = (
    "usr/share/man/*",
    "usr/share/locale/*",
    "usr/share/info/*",
    "usr/share/doc/*",
    "usr/share/doc-base/*",
    "usr/share/lintian/*",
    "usr/share/bug/*",
    "usr/share/bash-completion/*",
    "var/cache/*",
    "var/log/*",
)
"""What no program of an image reads. Files called `copyright` stay: licences go where the binaries go."""
UNWANTED = (
    "usr/bin/chage",
    "usr/bin/chfn",
    "usr/bin/chsh",
    "usr/bin/expiry",
    "usr/bin/gpasswd",
    "usr/bin/mount",
    "usr/bin/newgrp",
    "usr/bin/passwd",
    "usr/bin/su",
    "usr/bin/umount",
    "usr/bin/wall",
    "etc/cron*",
    "etc/init.d/*",
    "etc/pam.d/*",
    "etc/securetty",
)
"""Ways to become someone else, or to be started by nobody: an image has one user and one program."""


class Distribution(StrEnum):
    """Whose packages."""

    DEBIAN = "debian"


class Patches(StrEnum):
    """Which updates go in when the lock is made."""

    SECURITY = "security"
    """The security suite and the updates of the release."""
    NONE = "none"
    """The release as it came out: for comparison, never for production."""


class WithoutMirror(StrEnum):
    """What becomes of a build when no mirror answers."""

    REFUSE = "refuse"
    HOST = "host"
    """Services run on the machine's own interpreter and libraries, and their images say so."""


class Maker(StrEnum):
    """Who makes a base of packages."""

    EMBEDDED = "embedded"
    """Bleen itself: any user, in seconds; no script of a package is run."""
    FULL = "full"
    """mmdebstrap, as root: a whole system, whose packages ran their scripts."""


class Benchmark(StrEnum):
    """Whose rules a system is hardened by, and judged by."""

    NONE = "none"
    CIS_LEVEL_1 = "cis-level-1"
    """The CIS benchmark of Ubuntu 22.04, level 1, server; applied to Debian, for which OpenSCAP's guide has none."""


class Hardening(Value, frozen=True):
    """What is taken out of a base after its packages were unpacked. Setuid and setgid bits always are."""

    remove_packages: Annotated[
        tuple[PackageName, ...],
        Meta(description="Packages that others depend on and no program here calls.", examples=[["debconf"]]),
    ] = ()
    remove: Annotated[
        tuple[Pattern, ...],
        Meta(description="Files that no service needs, by pattern; a list of one's own replaces the default."),
    ] = UNWANTED
    logins: Annotated[
        bool, Meta(description="False: no account has a shell or a password, and only root, nobody and app exist.")
    ] = False


class Mirror(Value, frozen=True):
    """Where the packages come from, in place of what the machine's own apt is told."""

    address: Annotated[Address, Meta(description="The archive of the release.")]
    security: Annotated[Address | None, Meta(description="The archive of the security suite; default: `address`.")] = None
    keyring: Annotated[
        RelativePath | None,
        Meta(description="Who signs, relative to the folder of the recipe; default: whom the machine's own apt trusts."),
    ] = None


class Recipe(Value, frozen=True):
    """A base image: which packages, how patched, how hardened."""

    image: Annotated[BaseName, Meta(description="Its name: that of the file without `.yaml`.")]
    suite: Annotated[
        str, Meta(pattern=r"^[a-z][a-z0-9.-]*$", description="The release of the distribution.", examples=["bookworm"])
    ]
    packages: Annotated[
        tuple[PackageName, ...],
        Meta(min_length=1, description="What it is for; dependencies come along.", examples=[["python3", "ca-certificates"]]),
    ]
    distribution: Annotated[Distribution, Meta(description="Whose packages: `debian`.")] = Distribution.DEBIAN
    components: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[a-z][a-z-]*$", examples=["main"])], ...],
        Meta(min_length=1, description="Parts of the archive.", examples=[["main"]]),
    ] = ("main",)
    essential: Annotated[
        bool,
        Meta(description="True adds what the distribution calls essential; else only a shell is added to what is asked for."),
    ] = False
    patches: Annotated[
        Patches, Meta(description="`security`: the newest fixes when the lock is made; `none`: the release as it came out.")
    ] = Patches.SECURITY
    exclude: Annotated[
        tuple[Pattern, ...],
        Meta(description="Files of packages that are not unpacked; a list of one's own replaces the default."),
    ] = UNREAD
    hardening: Annotated[Hardening, Meta(description="What is taken out.")] = field(default_factory=Hardening)
    builder: Annotated[
        Maker,
        Meta(description="`embedded`: Bleen itself, any user; `full`: mmdebstrap as root, a whole system."),
    ] = Maker.EMBEDDED
    benchmark: Annotated[
        Benchmark,
        Meta(
            description="`cis-level-1`: OpenSCAP hardens the system by the CIS benchmark of Ubuntu 22.04 and judges what is "
            "left; only with `builder: full`."
        ),
    ] = Benchmark.NONE
    boot: Annotated[
        bool,
        Meta(
            description="True: it is booted once in QEMU before its publication, and not published where it does not come up; "
            "only with `builder: full`."
        ),
    ] = False
    mirror: Annotated[Mirror | None, Meta(description="Where packages come from; default: as the machine's own apt.")] = None
    without_mirror: Annotated[
        WithoutMirror,
        Meta(description="`refuse`: no build; `host`: services run on the machine's own system, and their images say so."),
    ] = WithoutMirror.REFUSE

    @property
    def asks(self) -> Digest:
        """The digest of what decides which packages are locked."""
        wished: list[object] = [self.packages, self.essential, self.hardening.remove_packages]
        wished += [self.builder] if self.builder is not Maker.EMBEDDED else []
        wished += ["boot"] if self.boot else []
        return digest_of([self.distribution, self.suite, self.components, self.patches, *wished])


class Odds(Value, frozen=True):
    """Two things that a recipe asks for, and that cannot be had together."""

    key: str
    """Of the recipe's file, where to change it."""
    what: str
    why: str
    instead: str


def odds(recipe: Recipe) -> tuple[Odds, ...]:
    """Return what a recipe asks for that contradicts itself."""
    found = []
    for name in sorted({*recipe.packages} & {*recipe.hardening.remove_packages}):
        why = "`packages` and `hardening.remove_packages` both name it"
        found.append(Odds("packages", f"`{name}` is asked for and taken out", why, "one of the two"))
    if recipe.benchmark is not Benchmark.NONE and recipe.builder is not Maker.FULL:
        what, why = f"`benchmark: {recipe.benchmark}` needs a whole system", "its rules are about more than unpacked files"
        found.append(Odds("benchmark", what, why, "builder: full, or no benchmark"))
    if recipe.boot and recipe.builder is not Maker.FULL:
        what, why = "`boot: true` needs a whole system", "the embedded builder makes the files of a few programs, and no system"
        found.append(Odds("boot", what, why, "builder: full, or no boot"))
    if recipe.hardening.remove_packages and recipe.builder is Maker.FULL:
        what = f"`{recipe.hardening.remove_packages[0]}` cannot be left out of a whole system"
        why = "packages that depend on it run their scripts, and count on it"
        found.append(Odds("hardening", what, why, "hardening: {remove: [...]} with its files, or builder: embedded"))
    return tuple(found)


class SuiteSeen(Value, frozen=True):
    """A suite as it was when the lock was made: its index was signed, and no older than it says."""

    name: str
    date: datetime
    """When the archive signed it."""
    digest: Digest
    """Of the signed index."""


class Locked(Value, frozen=True, omit_defaults=True):
    """A package of one version and one content."""

    name: str
    version: str
    architecture: str
    source: str
    """The name of its source package: what advisories speak of."""
    suite: str
    """Which suite had it: the release's own, its updates, or its security suite."""
    path: str
    """Where it lies in its archive."""
    size: int
    digest: Digest
    source_version: str = ""
    """Of the source package; empty where it is that of the package."""


class Lock(Value, frozen=True):
    """Every input of a base image, pinned."""

    asks: Digest
    """`Recipe.asks` of the recipe that it was made for."""
    architecture: str
    suites: tuple[SuiteSeen, ...]
    packages: tuple[Locked, ...]
    """By name."""
    format: int = 1
    released: tuple[Locked, ...] = ()
    """Of the release itself, where ``packages`` has a patch in their place: a whole system begins with them."""
    boot: tuple[Locked, ...] = ()
    """What it is booted with before its publication, and nothing that is in it: a kernel, and busybox."""

    def package(self, name: str) -> Locked | None:
        """Return the package called ``name``; None where it is not in."""
        return next((one for one in self.packages if one.name == name), None)


class BaseOrder(Value, frozen=True):
    """A base image to build, and the folder of its recipe, where its lock is too."""

    recipe: Recipe
    folder: str
    upgrade: bool = False
    """Make the lock anew, with what the mirror has now."""

    @property
    def lock_name(self) -> str:
        """The name of the lock's file."""
        return f"{self.recipe.image}.lock.json"


class Distributed(Tagged, frozen=True):
    """What a base image was built from."""

    recipe: Recipe
    lock: Lock
    folder: str = ""
    """Of the recipe, when it was built: where its keyring is sought. Known on that machine alone, and never signed."""


class Exported(Value, frozen=True):
    """An image that was written for other tools to read."""

    digest: Digest
    """Of its manifest there: not the digest that Bleen knows it by."""
    reference: str
    """What it is called there."""
    layers: tuple[str, ...]
    size: int
    """Bytes, compressed."""


class Stage(Value, frozen=True):
    """One stage of a build that ended, for whoever watches."""

    name: str
    """``base``, ``patches``, ``hardening``, ``application``, ``publish``, ..."""
    detail: str
    """What it did, in words."""
    seconds: float = 0.0
    cached: bool = False
    """Its inputs were those of an earlier build: nothing had to be done."""
