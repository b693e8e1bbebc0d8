"""Azure, composed: the only module of this package that names its provider. Its SDK is imported only here, and late."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bleen.domain.codec import decode
from bleen.domain.errors import InvalidInput, NotFound
from bleen.interfaces.platform import AzureReport, Finding

if TYPE_CHECKING:
    from bleen.providers.azure.site import Site
    from bleen.providers.azure.smoke import Checked


def read_site(path: Path) -> "Site":
    """Return the site that a file describes; InvalidInput says what is wrong with it."""
    from bleen.providers.azure.site import Site

    try:
        site: Site = decode(path.read_bytes(), Site)
    except OSError as error:
        raise InvalidInput("the site cannot be read", why=error.strerror or "", next=_WRITE, where=str(path)) from error
    except msgspec.MsgspecError as error:
        raise InvalidInput("this is no site", why=str(error), next=_WRITE, where=str(path)) from error
    return site


_WRITE = "terraform output -json sites | jq .REGION > site.json writes it"


def look(path: Path) -> AzureReport:
    """Return what a site looks like from here. Nothing is changed."""
    site = read_site(path)
    try:
        from bleen.providers.azure.smoke import NOT_VERIFIED
    except ImportError as error:
        raise NotFound("the Azure SDK is not installed", why=str(error), next="pip install 'bleen[azure]'") from error
    return AzureReport(tuple(_finding(each) for each in asyncio.run(_checked(site))), NOT_VERIFIED)


async def _checked(site: "Site") -> "Sequence[Checked]":
    from bleen.providers.azure.connection import connected
    from bleen.providers.azure.smoke import smoke

    async with connected(site) as azure:
        return await smoke(azure)


def _finding(checked: "Checked") -> Finding:
    return Finding(checked.name, "good" if checked.good else "bad", checked.detail, checked.next)
