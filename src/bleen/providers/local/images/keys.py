"""The keys of images: one that signs, those that are trusted, those that were revoked.

::

    keys/signing.pem          the private key, mode 0600; made where something is to be signed and it is not there
    keys/trusted/<id>.pem     public keys whose signatures count
    keys/revoked/<id>.pem     public keys whose signatures count no more, also where they are trusted, too
    keys/oldest.json          by name of the image: what was built before is refused

All of it is changed by moving files: a removed `signing.pem` is a rotation. They are PEM, as openssl reads and writes it. The
id of a key is the digest of its public key (DER, SubjectPublicKeyInfo).
"""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from bleen.domain.codec import digest_of
from bleen.domain.errors import InvalidInput
from bleen.domain.provenance import Trust, bare, read_oldest, short
from bleen.providers.local.images import disk

T = TypeVar("T")


class Keys:
    """The keys below ``folder``. Read at each use: what an administrator changes there counts at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._trusted = folder / "trusted"
        self._revoked = folder / "revoked"
        self._oldest = folder / "oldest.json"

    def sign(self, message: bytes) -> tuple[str, bytes]:
        """Return the id of the signing key, and its signature; the key is made where there is none."""
        key = self._signing()
        return key_id(key.public_key()), key.sign(message)

    def verifies(self, name: str, signature: bytes, message: bytes) -> bool:
        """Return whether the trusted key ``name`` signed ``message``."""
        try:
            self._public(self._trusted / f"{bare(name)}.pem", name).verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def trust(self) -> Trust:
        """Return whose signatures count now."""
        oldest = _read(self._oldest, read_oldest) if self._oldest.exists() else {}
        return Trust(trusted=_names(self._trusted), revoked=_names(self._revoked), oldest=oldest)

    @property
    def _private(self) -> Path:
        return self.folder / "signing.pem"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with disk.holding(self.folder / "lock"):
            yield

    def _signing(self) -> Ed25519PrivateKey:
        """Return the key that signs: another one where there is none, or where it was revoked."""
        with self._alone():
            key = self._present()
            return self._make() if key is None or key_id(key.public_key()) in _names(self._revoked) else key

    def _present(self) -> Ed25519PrivateKey | None:
        if not self._private.exists():
            return None
        key = _read(self._private, lambda data: load_pem_private_key(data, password=None))
        if not isinstance(key, Ed25519PrivateKey):
            raise _unusable(self._private, "it is no ed25519 key")
        name = key_id(key.public_key())
        if name not in _names(self._trusted) | _names(self._revoked):
            raise _unusable(self._private, f"what it signs would be refused: there is no trusted/{bare(name)}.pem")
        return key

    def _make(self) -> Ed25519PrivateKey:
        """Make a signing key. It is trusted before it signs: there is no moment at which what it signs is refused."""
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        disk.write_whole(self._trusted / f"{bare(key_id(key.public_key()))}.pem", public)
        draft = self.folder / f".signing.{secrets.token_hex(4)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            file.flush()
            os.fsync(file.fileno())
        draft.rename(self._private)
        disk.sync_folder(self.folder)
        return key

    def _public(self, path: Path, name: str) -> Ed25519PublicKey:
        key = _read(path, load_pem_public_key)
        if not isinstance(key, Ed25519PublicKey):
            raise _unusable(path, "it is no ed25519 key")
        if key_id(key) != name:
            raise _unusable(path, f"it is the key {short(key_id(key))}, under the name of another")
        return key


def key_id(key: Ed25519PublicKey) -> str:
    """Return the id of a key: ``sha256:`` and 64 hex digits."""
    return digest_of(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _names(folder: Path) -> frozenset[str]:
    return frozenset(f"sha256:{path.stem}" for path in folder.glob("[0-9a-f]*.pem"))


def _read(path: Path, parse: Callable[[bytes], T]) -> T:
    try:
        return parse(path.read_bytes())
    except (OSError, ValueError, TypeError, msgspec.MsgspecError) as error:
        raise _unusable(path, str(error)) from error


def _unusable(path: Path, why: str) -> InvalidInput:
    return InvalidInput(f"{path.name} cannot be used", why=why, next="see docs/guides/image-trust.md", where=str(path))
