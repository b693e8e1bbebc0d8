"""The access file of a controller: whom it believes about who somebody is. It is in no repository (decision 0033)."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from bleen.domain.codec import convert
from bleen.domain.duration import Duration
from bleen.domain.issuer import Access, Issuer
from bleen.interfaces.repository.document import Document, plain_value, read_document
from bleen.interfaces.repository.problem import InvalidFiles, Problem
from bleen.interfaces.repository.sense import line_of
from bleen.interfaces.repository.shape import mismatches

LONGEST = Duration.parse("7d")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def read_access(file: str) -> Access:
    """Return what ``file`` says, nothing where it is empty; InvalidFiles carries every problem."""
    if not file:
        return Access()
    access, problems = examine_access(Path(file))
    if access is None or problems:
        raise InvalidFiles(problems)
    return access


def examine_access(path: Path) -> tuple[Access | None, list[Problem]]:
    """Return the access file, if it has the right shape, and every problem of it."""
    document = read_document(path)
    problems = [*document.problems, *mismatches(document, Access)]
    if problems or document.root is None:
        return None, problems
    access: Access = convert(plain_value(document.root), Access)
    return access, list(_unsafe(document, access))


def _unsafe(document: Document, access: Access) -> Iterator[Problem]:
    for number, issuer in enumerate(access.issuers):
        yield from _issuer(document, str(number), issuer)
        if issuer.issuer in [other.issuer for other in access.issuers[:number]]:
            yield _problem(document, (str(number), "issuer"), f"{issuer.issuer} is there twice", "one of its rules would win")
        if issuer.sign_in and any(other.sign_in for other in access.issuers[:number]):
            yield _problem(document, (str(number), "sign_in"), "two issuers have `sign_in`", "people sign in with one of them")
    if access.address and not _guarded(access.address):
        why = "the cookies of the console would go over the network in the clear"
        line = line_of(document, "address")
        yield Problem(document.file, line, 1, "`address` is not https", why, "address: https://bleen.example.org")


def _issuer(document: Document, number: str, issuer: Issuer) -> Iterator[Problem]:
    if not _guarded(issuer.issuer):
        why = "whoever is between could say who anybody is"
        yield _problem(document, (number, "issuer"), f"{issuer.issuer} is not https", why, "issuer: https://...")
    if not issuer.sign_in and not issuer.audience:
        why = "nobody signs in with it, and no token of it counts"
        yield _problem(
            document, (number,), f"{issuer.issuer} is used for nothing", why, "sign_in: {client: bleen}, or an audience"
        )
    if issuer.sign_in and "openid" not in issuer.sign_in.scopes:
        why = "without it the issuer does not say who signed in"
        yield _problem(document, (number, "sign_in", "scopes"), "`openid` is not asked for", why, "scopes: [openid, profile]")
    if issuer.sign_in and issuer.audience == issuer.sign_in.client:
        why = "whatever was told who signed in to Bleen could then ask the API in their name"
        yield _problem(
            document, (number, "audience"), "`audience` is the client's id", why, "an audience of its own for programs"
        )
    if not Duration.parse("1m") <= issuer.lasts <= LONGEST:
        why = "who left is known to the issuer alone, and asked there at the next sign-in"
        yield _problem(document, (number, "lasts"), f"`lasts` is {issuer.lasts}", why, f"lasts: 12h; from 1m to {LONGEST}")


def _problem(document: Document, place: tuple[str, ...], what: str, why: str, instead: str = "it once") -> Problem:
    return Problem(document.file, line_of(document, "issuers", *place), 1, what, why, instead)


def _guarded(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in _LOOPBACK
