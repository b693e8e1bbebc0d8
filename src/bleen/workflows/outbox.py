"""What a rollout still has to enter into the ledger."""

from bleen.domain.codec import digest_of
from bleen.domain.ledger import Decided, Draft, Event, Finished


class Outbox:
    """Drafts in order, each under a key of its own, kept until the ledger has them.

    A key is never used again for something else: an attempt that seemed to fail may have been entered. A workflow task
    that is lost is done again from its beginning, where the world may look otherwise and the decision be another one: so
    the key tells what is entered, too, and a decision is never carried out under the entry of one that was taken before.
    """

    def __init__(self, number: int = 0, pending: tuple[Draft, ...] = ()) -> None:
        self.number = number
        self.pending = pending

    def draft(self, rollout: str, event: Event, by: str = "") -> Draft:
        """Return ``event`` of the rollout with this id under a key of its own, not kept."""
        self.number += 1
        environment, service, _ = rollout.split("/")
        # Not what was seen: the same decision, taken again a moment later, is the same entry.
        content = digest_of(event.decision if isinstance(event, Decided) else event)
        key = f"{rollout}/{self.number}/{content.partition(':')[2][:12]}"
        if isinstance(event, Finished):
            key = (
                f"{rollout}/finished"  # A task that is lost at the very end is done again, after a command that came meanwhile.
            )
        return Draft(key, environment, service, event, by=by, rollout=rollout)

    def add(self, rollout: str, event: Event, by: str = "") -> None:
        """Keep ``event`` until the ledger has it."""
        self.pending += (self.draft(rollout, event, by),)

    def entered(self, count: int) -> None:
        """Drop the first ``count``: the ledger has them."""
        self.pending = self.pending[count:]
