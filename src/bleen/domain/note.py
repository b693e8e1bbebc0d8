"""Signed notes and checkpoints, as other transparency logs write them: c2sp.org/signed-note and c2sp.org/tlog-checkpoint.

Only the texts: keys, and what signs with them, are elsewhere.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence

from bleen.domain.codec import Value
from bleen.domain.errors import InvalidInput

ED25519 = b"\x01"
"""The identifier of the signature type."""
_DASH = "\u2014"
_PREFIX = "PRIVATE+KEY"


class Verifier(Value, frozen=True):
    """The public half of a key that signs notes."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """Four bytes that hint at the key."""
        return _key_id(self.name, self.public)

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_base64(ED25519 + self.public)}"


class Checkpoint(Value, frozen=True):
    """What a log was at one size: nothing before that can change without changing the root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"


def sign_note(text: str, verifier: Verifier, sign: Callable[[bytes], bytes]) -> str:
    """Return ``text``, which ends in a newline, with a signature below it."""
    return f"{text}\n{_DASH} {verifier.name} {_base64(verifier.id + sign(text.encode()))}\n"


def open_note(note: str, verifier: Verifier, verify: Callable[[bytes, bytes, bytes], bool]) -> str:
    """Return the text of ``note``, which the key has signed; InvalidInput where it has not.

    ``verify`` is given the public key, the signature and the text.
    """
    text, lines = _parts(note)
    for line in lines:
        name, signature = _signature(line)
        if (name, signature[:4]) == (verifier.name, verifier.id):
            if verify(verifier.public, signature[4:], text.encode()):
                return text
            raise _invalid("its signature is wrong: the text, or the signature, was changed")
    raise _invalid(f"it is not signed by {verifier.name}")


def read_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint that ``text``, the text of a note, spells; InvalidInput."""
    lines = text.split("\n")
    if len(lines) < 4 or not lines[0] or lines[-1]:
        raise _invalid("a checkpoint has three lines: origin, size and root")
    size = lines[1]
    if not size.isascii() or not size.isdecimal() or str(int(size)) != size:
        raise _invalid(f"{size!r} is no size")
    root = _bytes(lines[2])
    if len(root) != 32:
        raise _invalid("its root is no hash")
    return Checkpoint(lines[0], int(size), root)


def read_verifier(text: str) -> Verifier:
    """Return the key that ``text`` spells, ``name+id+base64``; InvalidInput."""
    name, _, rest = text.strip().partition("+")
    identity, _, encoded = rest.partition("+")
    key = _bytes(encoded)
    verifier = Verifier(name, key[1:])
    if key[:1] != ED25519 or len(key) != 33 or identity != verifier.id.hex() or not is_key_name(name):
        raise InvalidInput(f"{text.strip()[:80]!r} is no key", next="write name+id+key, as bleen audit key prints it")
    return verifier


def write_secret(name: str, public: bytes, secret: bytes) -> str:
    """Return the private half of a key as a text."""
    return f"{_PREFIX}+{name}+{_key_id(name, public).hex()}+{_base64(ED25519 + secret)}\n"


def read_secret(text: str) -> tuple[str, bytes]:
    """Return the name and the 32 bytes of a private key; InvalidInput, which does not quote it."""
    parts = text.strip().split("+", 4)
    secret = _bytes(parts[4]) if len(parts) == 5 and "+".join(parts[:2]) == _PREFIX else b""
    if secret[:1] != ED25519 or len(secret) != 33 or not is_key_name(parts[2]):
        raise InvalidInput("the private key of the audit log cannot be read", next="put the file back from a backup")
    return parts[2], secret[1:]


def write_proof(leaf: int, proof: Sequence[str], checkpoint: str) -> str:
    """Return a proof that others can check, c2sp.org/tlog-proof; ``proof`` has hashes in hexadecimal, the nearest first."""
    hashes = [_base64(bytes.fromhex(text)) for text in proof]
    return "\n".join(["c2sp.org/tlog-proof@v1", f"index {leaf}", *hashes, "", checkpoint])


def is_key_name(name: str) -> bool:
    """Return whether ``name`` may name a key: not empty, without spaces and plus signs."""
    return bool(name) and "+" not in name and not any(c.isspace() for c in name)


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + public).digest()[:4]


def _parts(note: str) -> tuple[str, list[str]]:
    if any(c < " " and c != "\n" for c in note):
        raise _invalid("it has control characters")
    text, blank, signatures = note.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise _invalid("it has no signatures below an empty line")
    return text + "\n", signatures[:-1].split("\n")


def _signature(line: str) -> tuple[str, bytes]:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != _DASH or not is_key_name(parts[1]):
        raise _invalid(f"{line[:80]!r} is no signature line")
    signature = _bytes(parts[2])
    if len(signature) <= 4:
        raise _invalid(f"{line[:80]!r} has no signature")
    return parts[1], signature


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _invalid("a part of it is no base64") from error


def _invalid(why: str) -> InvalidInput:
    return InvalidInput("this is no note of the audit log", why=why)
