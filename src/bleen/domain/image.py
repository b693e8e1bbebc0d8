"""Images: immutable, content-addressed, made from a locked source."""

from typing import Annotated

from msgspec import Meta

from bleen.domain.codec import Tagged, Value

Digest = Annotated[str, Meta(pattern=r"^sha256:[0-9a-f]{64}$", description="A content address: sha256 and 64 hex digits.")]
RelativePath = Annotated[
    str,
    Meta(
        pattern=r"^[^/~\s\\][^\\\x00-\x1f]*$",
        description="A path relative to the folder of the service file, inside the repository.",
        examples=["app"],
    ),
]
BaseName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9-]{0,38}[a-z0-9]$",
        description="Lower-case letters, digits and dashes, from a letter on; 2 to 40 characters.",
        examples=["debian-python"],
    ),
]
Base = Annotated[
    BaseName,
    Meta(
        description="What it runs on: a recipe of `infrastructure/images/`, or `host` for the machine's own interpreter and "
        "libraries.",
        examples=["debian-python"],
    ),
]
PypiVersion = Annotated[
    str,
    Meta(
        pattern=r"^[0-9][0-9A-Za-z.!+_-]*$",
        description="The exact version, from a digit on; `bleen deploy --version` replaces it.",
        examples=["0.65.2"],
    ),
]
NpmVersion = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?$",
        description="The exact version, from a digit on; `bleen deploy --version` replaces it.",
        examples=["14.2.0"],
    ),
]
PinnedPackage = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9,._-]+\])?==[0-9][0-9A-Za-z.!+_-]*$",
        description="A package with its exact version.",
        examples=["setuptools==80.9.0"],
    ),
]


class Pypi(Tagged, frozen=True):
    """An application from the Python package index."""

    package: Annotated[
        str,
        Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="The name of the package.", examples=["datasette"]),
    ]
    version: PypiVersion
    with_packages: Annotated[
        tuple[PinnedPackage, ...], Meta(description="Further packages, each with its exact version: `setuptools==80.9.0`.")
    ] = ()
    lock: Annotated[
        RelativePath | None, Meta(description="A requirements file with hashes; made at the first build where absent.")
    ] = None
    base: Base = "host"


class Npm(Tagged, frozen=True):
    """An application from the npm registry."""

    package: Annotated[
        str,
        Meta(pattern=r"^(@[a-z0-9~._-]+/)?[a-z0-9~._-]+$", description="The name of the package.", examples=["http-server"]),
    ]
    version: NpmVersion
    base: Base = "host"


class Directory(Tagged, frozen=True):
    """An application in a folder of the repository."""

    path: Annotated[RelativePath, Meta(description="The folder, relative to that of the service file.")]
    version: Annotated[str, Meta(description="A name for people; the digest is what counts.")] = ""
    requirements: Annotated[
        RelativePath | None, Meta(description="A Python requirements file with hashes, installed beside it.")
    ] = None
    base: Base = "host"


class Archive(Tagged, frozen=True):
    """An application in a tar or zip archive."""

    path: Annotated[RelativePath, Meta(description="The archive, relative to the folder of the service file.")]
    digest: Annotated[Digest | None, Meta(description="The digest of the archive; refused where it differs.")] = None
    version: Annotated[str, Meta(description="A name for people; the digest is what counts.")] = ""
    base: Base = "host"


Source = Pypi | Npm | Directory | Archive


class File(Value, frozen=True):
    """One file of an image's tree."""

    path: str
    digest: Digest
    size: int
    executable: bool = False
    link: str = ""
    """Where a symbolic link points, relative and inside the tree; empty for a plain file."""


class Image(Value, frozen=True):
    """What an image is. Its ``digest`` is the digest of its manifest, which lists every file by digest."""

    digest: Digest
    name: str
    version: str
    created: str
    """RFC 3339, for people only: not part of the digest."""
    size: int
    """Bytes of all files."""
    files: int
    base: str = "host"
    """``host``: runs on the machine's own interpreter and libraries; ``scratch``: is a base itself; else the base's digest."""
    runtime: str = ""
    """The interpreter that it was built for, such as ``cpython-3.11``; empty where there is none."""
