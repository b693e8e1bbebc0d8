"""The audit: who did what, and the proof that nobody changed it since."""

from typing import Annotated

from litestar import get
from litestar.params import FromPath, FromQuery, QueryParameter

from bleen.domain.access import ANYWHERE, Role
from bleen.domain.audit import AuditReport, EntryProof, Growth
from bleen.domain.ledger import Entry, Query
from bleen.interfaces.api.guard import Asker
from bleen.interfaces.api.providers import Here
from bleen.interfaces.views import AuditLine, AuditPage
from bleen.interfaces.words import event_why, event_words

SOMEWHERE = {"needs": Role.VIEWER, "within": "any"}


@get("/v1/audit", opt=SOMEWHERE)
async def list_entries(
    providers: Here,
    asker: Asker,
    service: FromQuery[str] = "",
    environment: Annotated[str, QueryParameter(description="Default: all; for that, the token must see all.")] = "",
    by: Annotated[str, QueryParameter(description="Who asked.")] = "",
    kind: Annotated[
        list[str] | None, QueryParameter(description="Kinds of entries, such as `commanded`; default: all.")
    ] = None,
    before: Annotated[int, QueryParameter(ge=0, description="Only entries with a smaller sequence: `next` of a page.")] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
) -> AuditPage:
    """The entries of the ledger, newest first, a page at a time."""
    asker.check(Role.VIEWER, environment or ANYWHERE)
    query = Query(
        service=service, environment=environment, by=by, kinds=tuple(kind or ()), before=before, limit=limit, newest=True
    )
    entries = await providers.ledger.read(query)
    full = len(entries) == limit
    return AuditPage(entries=tuple(map(line_of, entries)), next=entries[-1].sequence if full else 0)


@get("/v1/audit/verification", opt=SOMEWHERE)
async def verify(providers: Here) -> AuditReport:
    """Reads all of the log and says what was changed, removed or reordered, if anything was."""
    return await providers.notary.verify()


@get("/v1/audit/proofs/{sequence:int}", opt=SOMEWHERE)
async def prove(providers: Here, asker: Asker, sequence: FromPath[int]) -> EntryProof:
    """The proof that one entry is in the log."""
    proof = await providers.notary.prove(sequence)
    asker.check(Role.VIEWER, proof.entry.environment or ANYWHERE)
    return proof


@get("/v1/audit/growth", opt=SOMEWHERE)
async def show_growth(providers: Here, size: Annotated[int, QueryParameter(ge=0)]) -> Growth:
    """The proof that the log of now begins with the first `size` entries of an earlier checkpoint."""
    return await providers.notary.grown(size)


def line_of(entry: Entry) -> AuditLine:
    """Return ``entry`` in words."""
    return AuditLine(
        sequence=entry.sequence,
        at=entry.at,
        environment=entry.environment,
        service=entry.service,
        rollout=entry.rollout,
        by=entry.by,
        kind=str(entry.event.__struct_config__.tag),
        what=event_words(entry.event),
        why=event_why(entry.event),
        event=entry.event,
    )


ROUTES = (list_entries, verify, prove, show_growth)
