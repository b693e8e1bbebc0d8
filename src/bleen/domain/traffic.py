"""Colours, splits and routes: who gets which share of the requests."""

from enum import StrEnum

from bleen.domain.codec import Tagged, Value

WHOLE = 10_000
"""A split is counted in hundredths of a percent, so that sums are exact."""


class Colour(StrEnum):
    """The two slots that a service has in each region."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> "Colour":
        return Colour.GREEN if self is Colour.BLUE else Colour.BLUE


class Split(Value, frozen=True):
    """The weights of the colours in hundredths of a percent. Law 1: they sum to 100 %."""

    blue: int
    green: int

    def __post_init__(self) -> None:
        if self.blue < 0 or self.green < 0 or self.blue + self.green != WHOLE:
            raise ValueError(f"a split sums to 100 % (law 1): blue {self.blue / 100} + green {self.green / 100}")

    @classmethod
    def of(cls, colour: Colour, weight: int = WHOLE) -> "Split":
        """Return the split that gives ``colour`` ``weight`` hundredths of a percent and the other the rest."""
        rest = WHOLE - weight
        return cls(blue=weight, green=rest) if colour is Colour.BLUE else cls(blue=rest, green=weight)

    def weight(self, colour: Colour) -> int:
        """Return the weight of ``colour`` in hundredths of a percent."""
        return self.blue if colour is Colour.BLUE else self.green

    def __str__(self) -> str:
        return f"blue {self.blue / 100:g} % green {self.green / 100:g} %"


def place(colour: Colour, baseline: bool = False) -> str:
    """Return the name of a fleet's place in its region: ``blue``, or ``blue-baseline`` for the baseline fleet beside it."""
    return f"{colour}-baseline" if baseline else str(colour)


def share(size: int, weight: int) -> int:
    """Return how many of ``size`` instances it takes to serve ``weight`` hundredths of a percent of the traffic."""
    return -(-size * weight // WHOLE)


class HeaderCohort(Tagged, frozen=True):
    """Requests with this header."""

    name: str
    """In lower case."""
    value: str


class CookieCohort(Tagged, frozen=True):
    """Requests with this cookie."""

    name: str
    value: str


Cohort = HeaderCohort | CookieCohort


class Mirror(Value, frozen=True):
    """Copies of requests, whose answers are thrown away. Not of long ones: users' uploads would wait for the copy's."""

    share: int
    """Of the stable release's requests, in hundredths of a percent."""
    methods: tuple[str, ...] = ("GET", "HEAD")


class Sticky(Value, frozen=True):
    """Users keep their release while the split stays, and change it with the split in an order of their own.

    A user is a point between 0 and 100 %, a hash of their cookie and of the release of ``first``. Those below the
    weight of ``first`` get it: raising the weight moves some to ``first`` and none away, lowering it moves those back.
    So the shares stay true for ever, and it is not the same users who are the first to get every release.
    """

    cookie: str
    lifetime: int
    """Seconds for which a cookie lasts that was made for a user who had none. 0: none is made, the application's
    own is waited for."""
    first: Colour


class Baseline(Value, frozen=True):
    """What a canary is fairly compared with: a part of the stable release's requests, for a fleet of its own."""

    colour: Colour
    """Of the stable release, which that fleet runs, too."""
    share: int
    """Of all requests, in hundredths of a percent, taken out of the weight of ``colour``."""


class Route(Value, frozen=True):
    """How the requests of one service reach its fleets, in one environment, at every gateway."""

    environment: str
    service: str
    hosts: tuple[str, ...]
    """Host names, without port, that the service answers to."""
    split: Split
    blue: int | None = None
    """The release in the blue slot; None where the slot is empty."""
    green: int | None = None
    preview: Colour | None = None
    """The colour that answers at ``preview.<host>``; none when None. The header ``x-bleen-release``
    (a release such as ``r2``, or a colour) reaches any filled slot."""
    cohorts: tuple[Cohort, ...] = ()
    """Requests that reach the colour of ``preview`` whatever the split; in order of precedence."""
    mirror: Mirror | None = None
    """Copies for the colour of ``preview`` of what the other colour gets."""
    sticky: Sticky | None = None
    baseline: Baseline | None = None
    """What of the weight of a colour is for the baseline fleet beside it, which the header ``x-bleen-release: baseline``
    reaches."""

    def __post_init__(self) -> None:
        apart = self.baseline
        if apart is None:
            return
        if not 0 < apart.share <= self.split.weight(apart.colour):
            raise ValueError(f"a baseline fleet has a part of its colour's weight: {apart.share / 100:g} % of {self.split}")
        if self.release(apart.colour) is None:
            raise ValueError(f"a baseline fleet runs the release of its colour, and {apart.colour} is empty")

    def carries(self, colour: Colour, *, baseline: bool = False) -> int:
        """Return the weight of one fleet in hundredths of a percent: that in ``colour``, or the baseline fleet beside it."""
        apart = self.baseline.share if self.baseline is not None and self.baseline.colour is colour else 0
        return apart if baseline else self.split.weight(colour) - apart

    def names(self, colour: Colour, release: int, *, baseline: bool = False) -> bool:
        """Return whether requests may reach that fleet, if only by a header."""
        return self.release(colour) == release and (not baseline or self.carries(colour, baseline=True) > 0)

    def release(self, colour: Colour) -> int | None:
        """Return the release that ``colour`` holds."""
        return self.blue if colour is Colour.BLUE else self.green


class Endpoint(Value, frozen=True):
    """Where one instance listens."""

    address: str
    port: int


class Backend(Value, frozen=True):
    """A fleet as a gateway knows it: a name to route to, and the instances behind it."""

    environment: str
    service: str
    colour: Colour
    release: int
    endpoints: tuple[Endpoint, ...]
    health_path: str = "/"
    health_interval: float = 1.0
    """Seconds between two probes of one instance by the gateway."""
    health_timeout: float = 1.0
    baseline: bool = False
    """Whether it is the baseline fleet beside the one in ``colour``."""

    @property
    def name(self) -> str:
        """The name of its cluster, unique per release and fleet: the counters of two never mix."""
        return backend_name(self.environment, self.service, self.colour, self.release, baseline=self.baseline)


def backend_name(environment: str, service: str, colour: Colour, release: int, *, baseline: bool = False) -> str:
    """Return ``dev.hello.blue.r3``, or ``dev.hello.blue-baseline.r3``."""
    return f"{environment}.{service}.{place(colour, baseline)}.r{release}"


class EndpointSeen(Value, frozen=True):
    """One instance as a gateway sees it."""

    endpoint: Endpoint
    healthy: bool
    active: int
    """Requests under way."""


class BackendSeen(Value, frozen=True):
    """A backend as one gateway sees it."""

    colour: Colour
    release: int
    endpoints: tuple[EndpointSeen, ...]
    baseline: bool = False

    @property
    def healthy(self) -> int:
        """How many of its instances this gateway finds healthy."""
        return sum(e.healthy for e in self.endpoints)


class GatewaySeen(Value, frozen=True):
    """What one gateway reports of one service. ``answered`` False means that nothing is known."""

    gateway: str
    region: str
    answered: bool
    route: Route | None = None
    """The route that it *has*, read from the gateway itself; None where it has none."""
    generation: int = 0
    """The generation of that route: larger is newer."""
    backends: tuple[BackendSeen, ...] = ()
