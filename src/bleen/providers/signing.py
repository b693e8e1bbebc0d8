"""Ed25519 (RFC 8032), by the library ``cryptography``, and the key of the audit log in its files."""

from pathlib import Path

from bleen.domain.errors import InvalidInput
from bleen.domain.note import Verifier, read_secret, write_secret

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
except ImportError as error:  # a client without the extra
    raise InvalidInput(
        "signatures cannot be checked here", why="the package cryptography is not installed", next="pip install 'bleen[audit]'"
    ) from error


def make_key() -> bytes:
    """Return a new private key."""
    return Ed25519PrivateKey.generate().private_bytes_raw()


def public_of(secret: bytes) -> bytes:
    """Return the public half of a private key."""
    return Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def sign(secret: bytes, text: bytes) -> bytes:
    """Return the signature of ``text``."""
    return Ed25519PrivateKey.from_private_bytes(secret).sign(text)


def verify(public: bytes, signature: bytes, text: bytes) -> bool:
    """Return whether ``signature`` is of ``text``."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text)
    except InvalidSignature:
        return False
    return True


class FileSeal:
    """Keeps the port `Seal`: the key and the last checkpoint in a folder of the home, away from the database.

    ``key`` is made at the first start, mode 0600. ``key.pub`` is what an auditor needs; ``checkpoint`` is the last one.
    """

    def __init__(self, folder: Path, environment: str) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name, self._secret = self._key(environment)
        self._verifier = Verifier(name, public_of(self._secret))

    @property
    def verifier(self) -> Verifier:
        return self._verifier

    def sign(self, text: bytes) -> bytes:
        return sign(self._secret, text)

    def verify(self, public: bytes, signature: bytes, text: bytes) -> bool:
        return verify(public, signature, text)

    def last(self) -> str:
        try:
            return (self._folder / "checkpoint").read_text("utf-8")
        except FileNotFoundError:
            return ""

    def keep(self, note: str) -> None:
        _write(self._folder / "checkpoint", note)

    def _key(self, environment: str) -> tuple[str, bytes]:
        path = self._folder / "key"
        if not path.exists():
            secret = make_key()
            public = public_of(secret)
            name = f"bleen/{''.join(c for c in environment if c.isalnum() or c in '-_.')}/{public.hex()[:12]}"
            _write(path, write_secret(name, public, secret))
            _write(self._folder / "key.pub", f"{Verifier(name, public)}\n")
        return read_secret(path.read_text("utf-8"))


def _write(path: Path, text: str) -> None:
    from bleen.providers.local.store import write_atomically

    write_atomically(path, text.encode())
