"""Who is to be in a pool, as properties: wherever it is interrupted, whoever was in it before."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from bleen.domain.fidelity import GatewayMode
from bleen.domain.listing import Listing
from bleen.domain.mixing import Mix, exact
from bleen.domain.traffic import WHOLE, Backend, Colour, Endpoint, Route, Split
from bleen.providers.azure.pools import Edge, Estate, Interface, Pool
from bleen.providers.azure.shares import Moves, Seen, confirmed
from bleen.providers.azure.table import Table
from tests.azure.double.cloud import Cloud
from tests.azure.flipping import site_of
from tests.azure.mixing import address, machine
from tests.contracts.gateway import BLUE, GREEN, a_route

POOL = Pool("/pools/Hello", ("hello.localhost",))
SITE = site_of(Cloud(), GatewayMode.MIXED)
INSIDE, OUTSIDE = frozenset({POOL.id.lower()}), frozenset[str]()
STATES = st.sampled_from(["Succeeded", "Succeeded", "Succeeded", "Failed"])


def interface(colour: Colour, number: int, inside: bool, state: str = "Succeeded") -> Interface:
    name = machine("hello", colour, number)
    return Interface(f"nic-{name}", name, address(colour, number), "1", state, INSIDE if inside else OUTSIDE)


def seen(route: Route, interfaces: tuple[Interface, ...], told: dict[Colour, int]) -> Seen:
    """Return what there is: of each colour so many machines that its fleet calls ready, and whatever interfaces there are."""
    backends = [
        Backend(
            "dev", "hello", colour, route.release(colour) or 0, tuple(Endpoint(address(colour, k), 80) for k in range(count))
        )
        for colour, count in told.items()
    ]
    table = Table(1, (Listing("dev", "hello", 1, route),), tuple(backends))
    return Seen(SITE, table, Estate(Edge("1", "Succeeded", {"hello": POOL}), interfaces))


def listing(there: Seen) -> Listing:
    return there.table.listings[0]


def after(there: Seen, moved: tuple[Interface, ...], inside: bool) -> Seen:
    """Return what there is once some interfaces were changed."""
    pools = INSIDE if inside else OUTSIDE
    changed = {each.name: Interface(each.name, each.machine, each.address, "2", "Succeeded", pools) for each in moved}
    interfaces = tuple(changed.get(each.name, each) for each in there.estate.interfaces)
    return Seen(there.site, there.table, Estate(there.estate.edge, interfaces))


@st.composite
def places(draw: st.DrawFn) -> Seen:
    """Any split, any machines in or out of the pool, more or fewer of them than their fleets call ready."""
    whole = st.sampled_from([0, WHOLE, WHOLE // 2, 9000, 1000, 2500, 7500])
    blue = draw(st.one_of(whole, st.integers(0, WHOLE)))
    told = {colour: draw(st.integers(0, 10)) for colour in Colour}
    interfaces = [
        interface(colour, number, draw(st.booleans()), draw(STATES))
        for colour in Colour
        for number in range(draw(st.integers(0, 12)))
    ]
    return seen(a_route(Split(blue, WHOLE - blue)), tuple(interfaces), told)


@given(places(), st.data())
def test_the_pool_comes_to_what_is_ordered_and_never_empties(there: Seen, data: st.DataObject) -> None:
    """In every wave some of those who are asked enter, or leave, and the rest is interrupted; in the end nothing is to be done.

    Nobody leaves before all are in who are to be; a pool that had somebody has somebody.
    """
    left = False
    for _ in range(100):
        moves = there.moves(listing(there))
        if not moves:
            break
        assert not (moves.enter and moves.leave)
        assert not (left and moves.enter)
        left = bool(moves.leave)
        before = len(there.members("hello"))
        asked = moves.enter or moves.leave
        done = asked[: data.draw(st.integers(1, len(asked)))]
        there = after(there, done, bool(moves.enter))
        assert there.members("hello") or not before
    assert there.moves(listing(there)) == Moves()


@given(places())
def test_what_is_in_the_end_is_the_exact_share_where_there_is_one(there: Seen) -> None:
    """Of machines that their fleets call ready and that have an interface in a scale set of their own."""
    while moves := there.moves(listing(there)):
        there = after(there, moves.enter or moves.leave, bool(moves.enter))
    route = listing(there).route
    assert route is not None
    ready = there.there(route)
    mix = exact(route.split, Mix(*(len(ready[colour]) for colour in Colour)))
    members = there.members("hello")
    blue = sum(each in ready[Colour.BLUE] for each in members)
    if mix is not None and mix.total:
        assert (blue, len(members) - blue) == (mix.blue, mix.green)
        assert Fraction(blue, len(members)) == Fraction(route.split.blue, WHOLE)
        assert there.fits(listing(there)) and there.having("dev", "hello") == listing(there)
    assert after(there, (), True).moves(listing(there)) == Moves()


def test_who_is_in_stays_in() -> None:
    """Each change is an update of the gateway: 90 to 10 of ten and one costs two."""
    there = seen(a_route(Split(9000, 1000)), tuple(_ten()), {Colour.BLUE: 10, Colour.GREEN: 10})
    moves = there.moves(listing(there))
    assert (len(moves.enter), len(moves.leave)) == (1, 0)
    assert len(after(there, moves.enter, True).moves(listing(there)).leave) == 1


def _ten() -> list[Interface]:
    blue = [interface(Colour.BLUE, number, True) for number in range(10)]
    return [*blue, *(interface(Colour.GREEN, number, False) for number in range(10))]


def test_an_address_that_another_service_has_now_is_nobody() -> None:
    """Azure gives addresses anew: whose scale set a machine is of decides, and not where it listens."""
    stranger = structs_of(interface(Colour.BLUE, 0, False), machine="vmss-other-blue-bleen-dev-weu_00000000")
    there = seen(a_route(BLUE), (stranger,), {Colour.BLUE: 1})
    assert there.moves(listing(there)) == Moves() and there.moved(listing(there), there.table.backends[0])


def structs_of(one: Interface, **changed: str) -> Interface:
    parts = {"name": one.name, "machine": one.machine, "address": one.address, "etag": one.etag, "state": one.state}
    return Interface(**(parts | changed), pools=one.pools)


def test_what_is_under_way_is_not_known() -> None:
    """An interface that is being changed, or a gateway that is updated for a route that is new: neither the old nor the new."""
    inside = tuple(interface(Colour.BLUE, k, True) for k in range(2))
    there = seen(a_route(BLUE), inside, {Colour.BLUE: 2})
    assert there.having("dev", "hello") == listing(there)
    busy = Seen(SITE, there.table, Estate(Edge("1", "Updating", {"hello": POOL}), inside))
    assert busy.having("dev", "hello") is None
    known = Seen(SITE, structs.replace(there.table, confirmed=there.table.listings), busy.estate)
    assert known.having("dev", "hello") == listing(there)
    moving = Estate(there.estate.edge, (structs_of(inside[0], state="Updating"), inside[1]))
    assert Seen(SITE, known.table, moving).having("dev", "hello") is None


def test_between_two_routes_neither_is_there() -> None:
    """All of green has entered and blue has not left yet: silence, which counts as yes for law 3."""
    both = tuple(interface(colour, 0, True) for colour in Colour)
    there = seen(a_route(GREEN), both, dict.fromkeys(Colour, 1))
    old = Listing("dev", "hello", 0, a_route(BLUE))
    table = structs.replace(there.table, confirmed=(old,))
    assert Seen(SITE, table, there.estate).having("dev", "hello") is None
    before = Estate(there.estate.edge, (both[0], interface(Colour.GREEN, 0, False)))
    assert Seen(SITE, table, before).having("dev", "hello") == old
    assert confirmed(Seen(SITE, table, before)).confirmed == (old,)
