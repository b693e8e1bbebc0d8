"""What a rollout still has to enter into the ledger."""

from bleen.domain.ledger import Draft, Event


class Outbox:
    """Drafts in order, each under a key of its own, kept until the ledger has them.

    A key is never used again: an attempt that seemed to fail may have been entered.
    """

    def __init__(self, number: int = 0, pending: tuple[Draft, ...] = ()) -> None:
        self.number = number
        self.pending = pending

    def draft(self, rollout: str, event: Event, by: str = "") -> Draft:
        """Return ``event`` of the rollout with this id under a key of its own, not kept."""
        self.number += 1
        environment, service, _ = rollout.split("/")
        return Draft(f"{rollout}/{self.number}", environment, service, event, by=by, rollout=rollout)

    def add(self, rollout: str, event: Event, by: str = "") -> None:
        """Keep ``event`` until the ledger has it."""
        self.pending += (self.draft(rollout, event, by),)

    def entered(self, count: int) -> None:
        """Drop the first ``count``: the ledger has them."""
        self.pending = self.pending[count:]
