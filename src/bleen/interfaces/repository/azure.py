"""``infrastructure/azure.yaml``: which gateways environments have in Azure, and what they cannot do for services."""

from collections.abc import Iterator
from pathlib import Path

from bleen.domain.codec import convert
from bleen.domain.fidelity import Estate, lacks
from bleen.domain.service import Service
from bleen.interfaces.repository.document import Document, plain_value, read_document
from bleen.interfaces.repository.places import Places
from bleen.interfaces.repository.problem import Problem
from bleen.interfaces.repository.shape import mismatches

AZURE = Path("infrastructure/azure.yaml")


def examine_azure(path: Path) -> tuple[Estate, list[Problem]]:
    """Return what the file says, and every problem of it; without one, every gateway is an Envoy."""
    if not path.exists():
        return Estate(), []
    document = read_document(path)
    problems = [*document.problems, *mismatches(document, Estate)]
    if problems or document.root is None:
        return Estate(), problems
    estate: Estate = convert(plain_value(document.root), Estate)
    return estate, []


def beyond_gateways(document: Document, service: Service, root: Path) -> Iterator[Problem]:
    """Yield what the gateway of some environment cannot do for ``service``, at its line."""
    estate, _ = examine_azure(root / AZURE)
    if document.root is None:
        return
    at = Places(document, document.root)
    for environment, mode in estate.gateways.items():
        for lack in lacks(mode, service):
            what = f"{lack.what} in {environment}, whose gateway is {mode}"
            yield at.error(lack.place, what, lack.why, lack.instead)
