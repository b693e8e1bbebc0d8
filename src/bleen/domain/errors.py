"""Everything that Bleen raises. The type says whether trying again can help.

BleenError
├── Transient            trying again may help; nothing was lost
│   ├── Unreachable      a part of the platform did not answer
│   ├── NotConverged     it was written, and not every gateway has it yet
│   ├── TooOften         somebody asks more often than is welcome
│   └── StorageFull      no room on the disk
├── Permanent            trying again cannot help
│   ├── InvalidInput     a file, an option or a request is wrong
│   ├── NotFound         there is no such thing
│   ├── Forbidden        whoever asks may not
│   ├── BuildFailed      an image could not be built from its source
│   ├── ImageRejected    an image is not what its digest says, or nobody who is trusted signed it (law 6)
│   ├── ImageBlocked     a policy refuses an image for what was found in it
│   ├── StartFailed      an instance could not even be started
│   ├── PortTaken        another program listens where Bleen must
│   └── LawBroken        a decision would break a law; nothing was done
└── Conflict             someone else was first
    ├── Frozen           the environment takes no new rollouts now
    ├── StaleGeneration  a newer split is already in force
    ├── Moved            what somebody looked at is no longer so
    ├── NothingToDo      there is no rollout that could take the command
    └── AlreadyRunning   a second platform, or a second rollout
"""


class BleenError(Exception):
    """What happened, why, and the next thing to type or do.

    ``what`` is one sentence without a final stop; ``why`` and ``next`` may be empty.
    """

    def __init__(self, what: str, *, why: str = "", next: str = "") -> None:
        super().__init__(what, why, next)
        self.what = what
        self.why = why
        self.next = next

    def __str__(self) -> str:
        sentence = f"{self.what}: {self.why}" if self.why else self.what
        return f"{sentence}\n  {self.next}" if self.next else sentence


class Transient(BleenError):
    """Trying again may help."""


class Permanent(BleenError):
    """Trying again cannot help."""


class Conflict(BleenError):
    """Someone else was first."""


class Unreachable(Transient):
    """A part of the platform did not answer."""


class NotConverged(Transient):
    """A route was written, and not every gateway reports it."""


class TooOften(Transient):
    """Somebody asks more often than is welcome; in ``wait`` seconds they may again."""

    def __init__(self, what: str, *, why: str = "", next: str = "", wait: int = 1) -> None:
        super().__init__(what, why=why, next=next)
        self.wait = wait


class StorageFull(Transient):
    """No room on the disk."""


class InvalidInput(Permanent):
    """A file, an option or a request is wrong. ``where`` is ``file:line`` or empty."""

    def __init__(self, what: str, *, why: str = "", next: str = "", where: str = "") -> None:
        super().__init__(what, why=why, next=next)
        self.where = where

    def __str__(self) -> str:
        return f"{self.where}: {super().__str__()}" if self.where else super().__str__()


class NotFound(Permanent):
    """There is no such thing."""


class Forbidden(Permanent):
    """Whoever asks may not."""


class BuildFailed(Permanent):
    """An image could not be built from its source."""


class ImageRejected(Permanent):
    """An image is not what its digest says, or nobody who is trusted signed it."""


class ImageBlocked(Permanent):
    """A policy refuses an image for what was found in it."""


class StartFailed(Permanent):
    """An instance could not even be started."""


class PortTaken(Permanent):
    """Another program listens where Bleen must."""


class LawBroken(Permanent):
    """A decision would break a law of DESIGN; it was not carried out."""

    def __init__(self, law: int, why: str) -> None:
        super().__init__(f"law {law} would be broken", why=why, next="bleen explain shows the decision")
        self.law = law


class Frozen(Conflict):
    """The environment takes no new rollouts now: a freeze, a holiday, or no window is open."""


class StaleGeneration(Conflict):
    """A newer split is already in force; this one lost."""


class Moved(Conflict):
    """What somebody looked at when they decided is no longer so; nothing was done."""


class NothingToDo(Conflict):
    """There is no rollout that could take the command."""


class AlreadyRunning(Conflict):
    """A second platform on the same home, or a second rollout of the same service."""
