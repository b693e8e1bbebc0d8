"""The kit of the port `Ledger`: subclass `LedgerContract` and give it a fixture ``ledger``, new and empty."""

import asyncio
from datetime import UTC, datetime

import pytest

from bleen.domain.access import Role, Session, Token
from bleen.domain.calendar import Calendar, Holiday
from bleen.domain.check import CheckResult, CheckTime
from bleen.domain.codec import encode
from bleen.domain.command import Pause
from bleen.domain.decision import Done, Shift, Wait
from bleen.domain.errors import InvalidInput, NotFound
from bleen.domain.finding import Finding, Severity
from bleen.domain.fleet import Slot
from bleen.domain.ledger import (
    KINDS,
    BaseRenewed,
    CalendarSet,
    Checked,
    Commanded,
    Decided,
    Draft,
    EnvironmentFrozen,
    EnvironmentThawed,
    Event,
    Finished,
    FreezeOverridden,
    GlassBroken,
    HostsChanged,
    Measured,
    NoticeLost,
    Query,
    ReleaseMade,
    RemovalDecided,
    RenewalBegun,
    RenewalStopped,
    RolloutStarted,
    Scaled,
    ServiceRemoved,
    SessionClosed,
    SessionOpened,
    Settled,
    TokenMade,
    TokenRevoked,
    kind_of,
)
from bleen.domain.patching import Fix
from bleen.domain.policy import Gated, Waived, Waiver
from bleen.domain.release import Release, Runtime, SecretRef, config_digest
from bleen.domain.removal import Drain, Leaver
from bleen.domain.renewal import Renewal
from bleen.domain.rollout import Observation, Promoted, ReleaseRef, RolledBack, Rollout
from bleen.domain.service import BlueGreen
from bleen.domain.signals import Golden
from bleen.domain.strategy import compile_steps
from bleen.domain.traffic import Colour, GatewaySeen, Route, Split
from bleen.domain.verdict import Assessment, Cause, Inconclusive, Reading
from bleen.ports import Ledger

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

ODD_TEXTS = (
    "",
    "\0",
    "a\0b\\u0000",
    "'; drop table entries; --",
    '"%s" %(x)s {} $1',
    "\r\n\t\x7f\x1b[31m",
    "snow \u2603 crab \U0001f980 \u202e back \ufeff",
    "\\",
    "x" * 1_000_000,
)


def an_image(number: int) -> str:
    return f"sha256:{number:064x}"


def a_release(
    image: int = 1,
    *,
    service: str = "hello",
    command: str = "run",
    flags: dict[str, bool | str | float] | None = None,
    schema: str = "",
    created: datetime = NOON,
) -> Release:
    runtime = Runtime(command=(command,), env={"KEY": SecretRef("key"), "PLAIN": "a\0b"})
    return Release(
        service=service,
        number=0,
        version=f"1.{image}",
        image=an_image(image),
        runtime=runtime,
        config=config_digest(runtime),
        created=created,
        author="ada",
        flags=flags or {},
        schema_version=schema,
    )


def a_rollout() -> Rollout:
    strategy = BlueGreen()
    return Rollout(
        id="dev/hello/1",
        environment="dev",
        service="hello",
        hosts=("hello.localhost",),
        regions=("local",),
        target=ReleaseRef(2, "1.2", an_image(2)),
        target_colour=Colour.GREEN,
        stable=ReleaseRef(1, "1.1", an_image(1)),
        size=2,
        stable_size=2,
        strategy=strategy,
        steps=compile_steps(strategy, size=2, trusted=False),
        by="ada",
        started=NOON,
    )


def assessment() -> Assessment:
    """Return one with every part filled."""
    reading = Reading("errors", "%", 4.6, None, 1.5, 6.7, 5.0, -0.2, 3.0)
    signals = Golden(2, 50.0, 4.6, 1.0, None, 12.0, {"5xx": 2.3}, {"reset": 0.1}, 3, 0, 0.02, 40_000_000)
    verdict = Inconclusive(Cause.MORE_REQUESTS, "about 400 more requests are needed", 400, 8.5)
    return Assessment(NOON, verdict, step=4, requests=120, compared=1080, rate=47.1, readings=(reading,), signals=(signals,))


RENEWAL = Renewal("debian", f"sha256:{6:064x}", f"sha256:{7:064x}", (Fix("libssl3", "openssl", "3.0.1", "3.0.2", NOON),))


def sample_events() -> tuple[Event, ...]:
    """One event of each kind."""
    route = Route("dev", "hello", ("hello.localhost",), Split.of(Colour.GREEN), blue=1, green=2)
    seen = Observation(at=NOON, fleets=(), gateways=(GatewaySeen("local", "local", True, route, 7),))
    return (
        ReleaseMade(a_release()),
        RolloutStarted(a_rollout()),
        Decided(Shift(route, why="every check passed"), seen),
        Commanded(Pause(by="ada")),
        Checked((CheckResult("GET / is 200", CheckTime.BEFORE, True, "200", NOON),)),
        Settled(RolledBack("asked for by ada"), stable=1),
        Finished(),
        Scaled(release=2, size=3),
        EnvironmentFrozen("the database moves", NOON),
        EnvironmentThawed("it has moved"),
        CalendarSet(Calendar(zone="Europe/Berlin"), (Holiday("2026-12-25", "Christmas Day"),)),
        FreezeOverridden("deploy", "a hole is open"),
        NoticeLost("rolled-back", "on-call", "its server did not take it, or did not answer"),
        HostsChanged(("a.localhost",), ("b.localhost", "c.localhost")),
        RemovalDecided(Drain((Leaver(Slot("dev", "local", "hello", Colour.BLUE), 2),), "nobody routes to it"), "unused", seen),
        ServiceRemoved("unused", NOON),
        Gated(
            image=f"sha256:{5:064x}",
            allowed=False,
            blocks=(Severity.CRITICAL,),
            blocking=(Finding("CVE-2026-1", Severity.CRITICAL, "a hole", "libfoo", "1.0", "1.1", "etc/x", "use 1.1"),),
            waived=(
                Waived(
                    Finding("setuid", Severity.HIGH, "it is setuid", where="bin/su"),
                    Waiver(finding="setuid", owner="ann", reason="needed", expires="2027-01-31"),
                ),
            ),
            not_checked=("the host: it is no part of the image",),
            counts={"critical": 1, "high": 1, "not-checked": 1},
        ),
        Measured(assessment()),
        TokenMade(Token("t1", "ada", "sha256:0", {"dev": Role.DEPLOYER}, NOON, NOON, "eve")),
        TokenRevoked("t1", "ada"),
        SessionOpened(Session("s1", "ada", "sha256:0", "sha256:1", NOON, NOON)),
        SessionClosed("s1"),
        GlassBroken("promote", "the shop is down"),
        BaseRenewed(RENEWAL),
        RenewalBegun(RENEWAL, release=3),
        RenewalStopped(RENEWAL, release=3, why="its check failed"),
    )


def a_draft(
    key: str, *, service: str = "hello", environment: str = "dev", rollout: str = "", event: Event | None = None
) -> Draft:
    return Draft(key, environment, service, event or Decided(Wait(why=key)), by="ada", rollout=rollout)


class LedgerContract:
    """What every ledger does."""

    async def test_what_was_appended_is_read(self, ledger: Ledger) -> None:
        """An entry has all of its draft, a sequence and a time, and reading returns the same entry."""
        before = datetime.now(UTC)
        draft = a_draft("k", rollout="dev/hello/1")
        entry = await ledger.append(draft)
        assert (entry.key, entry.environment, entry.service) == ("k", "dev", "hello")
        assert (entry.event, entry.by, entry.rollout) == (draft.event, "ada", "dev/hello/1")
        assert entry.sequence > 0
        assert before <= entry.at <= datetime.now(UTC)
        assert entry.at.tzinfo is UTC
        assert list(await ledger.read(Query())) == [entry]

    async def test_every_kind_of_event_comes_back_as_it_went_in(self, ledger: Ledger) -> None:
        """No kind of event loses anything in the ledger."""
        events = sample_events()
        assert {kind_of(event) for event in events} == KINDS
        for event in events:
            await ledger.append(a_draft(kind_of(event), event=event))
        assert tuple(entry.event for entry in await ledger.read(Query())) == events

    async def test_the_same_key_twice_is_one_entry(self, ledger: Ledger) -> None:
        """A second append with a known key returns the first entry, whatever else it says."""
        first = await ledger.append(a_draft("k"))
        again = await ledger.append(a_draft("k"))
        other = await ledger.append(a_draft("k", service="other", event=Finished()))
        assert first == again == other
        assert len(await ledger.read(Query())) == 1

    async def test_the_same_key_at_the_same_time_is_one_entry(self, ledger: Ledger) -> None:
        """Racing appends of one key, of one service or of two, agree on one entry."""
        drafts = [a_draft("k", service=f"s{n % 2}") for n in range(20)]
        entries = await asyncio.gather(*(ledger.append(draft) for draft in drafts))
        assert len(set(map(encode, entries))) == 1
        assert len(await ledger.read(Query())) == 1

    async def test_a_later_append_has_a_larger_sequence(self, ledger: Ledger) -> None:
        """Sequences of one service grow in the order in which appends return, also when they race."""
        returned: list[int] = []

        async def write(n: int) -> None:
            before = max(returned, default=0)
            entry = await ledger.append(a_draft(f"k{n}"))
            assert entry.sequence > before
            returned.append(entry.sequence)

        await asyncio.gather(*(write(n) for n in range(40)))
        read = [entry.sequence for entry in await ledger.read(Query(service="hello"))]
        assert read == sorted(set(returned))

    @pytest.mark.parametrize("text", ODD_TEXTS, ids=range(len(ODD_TEXTS)))
    async def test_any_text_may_be_in_an_event(self, ledger: Ledger, text: str) -> None:
        """NUL, quotes, control characters, emoji and a megabyte come back as they went in."""
        entry = await ledger.append(a_draft("k", event=Decided(Wait(why=text))))
        assert entry.event == Decided(Wait(why=text))
        assert list(await ledger.read(Query())) == [entry]

    async def test_text_that_is_no_unicode_is_mended(self, ledger: Ledger) -> None:
        """Half a surrogate pair, as in undecodable log lines, becomes U+FFFD: the entry is not refused."""
        entry = await ledger.append(a_draft("k", event=Decided(Wait(why="a\udc80\ud83eb"))))
        assert entry.event == Decided(Wait(why="a\ufffd\ufffdb"))
        assert list(await ledger.read(Query())) == [entry]

    @pytest.mark.parametrize("field", ["key", "environment", "service", "rollout", "by"])
    @pytest.mark.parametrize("text", ["a\0b", "a\udc80"])
    async def test_a_name_with_an_impossible_character_is_refused(self, ledger: Ledger, field: str, text: str) -> None:
        """Names with NUL or half a surrogate pair are refused by name, and nothing is written."""
        names = {"key": "k", "environment": "dev", "service": "hello", "rollout": "", "by": ""} | {field: text}
        with pytest.raises(InvalidInput, match=field):
            await ledger.append(Draft(event=Finished(), **names))
        assert list(await ledger.read(Query())) == []

    async def test_an_entry_needs_a_key(self, ledger: Ledger) -> None:
        """An empty key is refused: all such entries would be one."""
        with pytest.raises(InvalidInput, match="key"):
            await ledger.append(a_draft(""))

    async def test_names_are_matched_exactly(self, ledger: Ledger) -> None:
        """Quotes and wildcards in a name are part of the name."""
        for key, service in enumerate(("a%", "ab", "a'", 'a"', "A%")):
            await ledger.append(a_draft(str(key), service=service))
        assert [entry.service for entry in await ledger.read(Query(service="a%"))] == ["a%"]
        assert [entry.service for entry in await ledger.read(Query(service="a'"))] == ["a'"]

    async def test_a_query_narrows_by_every_field(self, ledger: Ledger) -> None:
        """Service, environment, rollout, kinds and after each leave out what does not match; together, all do."""
        await ledger.append(a_draft("1", rollout="dev/hello/1"))
        await ledger.append(a_draft("2", rollout="dev/hello/1", event=Finished()))
        await ledger.append(a_draft("3", environment="production"))
        last = await ledger.append(a_draft("4", service="other", event=Scaled(1, 2)))

        async def keys(query: Query) -> list[str]:
            return [entry.key for entry in await ledger.read(query)]

        assert await keys(Query(service="hello")) == ["1", "2", "3"]
        assert await keys(Query(environment="dev")) == ["1", "2", "4"]
        assert await keys(Query(rollout="dev/hello/1")) == ["1", "2"]
        assert await keys(Query(kinds=("finished", "scaled"))) == ["2", "4"]
        assert await keys(Query(service="hello", environment="dev", rollout="dev/hello/1", kinds=("finished",))) == ["2"]
        second = (await ledger.read(Query(limit=2)))[1]
        assert await keys(Query(after=second.sequence)) == ["3", "4"]
        assert await keys(Query(after=last.sequence)) == []
        assert await keys(Query(service="nobody")) == []

    async def test_a_limit_takes_the_oldest_or_the_newest(self, ledger: Ledger) -> None:
        """Oldest first from the oldest on; with ``newest``, newest first from the newest on."""
        for n in range(5):
            await ledger.append(a_draft(str(n)))
        assert [entry.key for entry in await ledger.read(Query(limit=2))] == ["0", "1"]
        assert [entry.key for entry in await ledger.read(Query(limit=2, newest=True))] == ["4", "3"]
        assert list(await ledger.read(Query(limit=0))) == []

    async def test_the_newest_of_each_service_are_read(self, ledger: Ledger) -> None:
        """With ``each``, a busy service does not hide a quiet one; whatever else narrows a query counts before."""
        for n in range(6):
            await ledger.append(a_draft(f"busy-{n}", service="busy", environment="dev" if n % 2 else "production"))
        await ledger.append(a_draft("quiet", service="quiet"))
        await ledger.append(a_draft("nobody's", service=""))
        for n in range(6, 9):
            await ledger.append(a_draft(f"busy-{n}", service="busy", event=Finished()))

        async def keys(query: Query) -> list[str]:
            return [entry.key for entry in await ledger.read(query)]

        assert await keys(Query(newest=True, each=2)) == ["busy-8", "busy-7", "nobody's", "quiet"]
        assert await keys(Query(newest=True, each=2, limit=3)) == ["busy-8", "busy-7", "nobody's"]
        assert await keys(Query(newest=True, each=1, kinds=("decided",))) == ["nobody's", "quiet", "busy-5"]
        assert await keys(Query(newest=True, each=9, environment="production")) == ["busy-4", "busy-2", "busy-0"]
        assert await keys(Query(newest=True, each=1, service="busy")) == ["busy-8"]
        nobodys = (await ledger.read(Query(newest=True, each=1)))[1]
        assert await keys(Query(newest=True, each=1, before=nobodys.sequence)) == ["quiet", "busy-5"]
        assert await keys(Query(newest=True, each=1, after=nobodys.sequence)) == ["busy-8"]

    async def test_a_query_that_means_nothing_is_refused(self, ledger: Ledger) -> None:
        """An unknown kind, a negative limit, the oldest of each service: errors, not empty answers."""
        for query in (Query(each=-1, newest=True), Query(each=2)):
            with pytest.raises(InvalidInput, match="of each service"):
                await ledger.read(query)
        with pytest.raises(InvalidInput, match="setled"):
            await ledger.read(Query(kinds=("setled",)))
        with pytest.raises(InvalidInput, match="-1"):
            await ledger.read(Query(limit=-1))

    async def test_releases_are_numbered_from_one_for_each_service(self, ledger: Ledger) -> None:
        """Numbers are consecutive per service, and the draft's own number is ignored."""
        numbers = [(await ledger.make_release(a_release(image))).number for image in (1, 2, 3)]
        assert numbers == [1, 2, 3]
        assert (await ledger.make_release(a_release(1, service="other"))).number == 1
        made = await ledger.release("hello", 2)
        assert made.image == an_image(2)
        assert [release.number for release in await ledger.releases("hello")] == [3, 2, 1]
        assert list(await ledger.releases("nobody")) == []

    async def test_an_equal_release_keeps_its_number_and_date(self, ledger: Ledger) -> None:
        """Image, configuration, flags and schema version make a release; its date and author do not."""
        first = await ledger.make_release(a_release(1, flags={"a": 1.0, "b": True}))
        await ledger.make_release(a_release(2))
        again = await ledger.make_release(a_release(1, flags={"b": True, "a": 1}, created=datetime(2027, 1, 1, tzinfo=UTC)))
        assert again == first
        assert again.created == NOON
        assert first == await ledger.release("hello", 1)

    async def test_any_difference_makes_another_release(self, ledger: Ledger) -> None:
        """Another image, configuration, flag or schema version is another release."""
        kinds = (
            a_release(1),
            a_release(2),
            a_release(1, command="walk"),
            a_release(1, flags={"a": 1}),
            a_release(1, schema="7"),
        )
        assert [(await ledger.make_release(release)).number for release in kinds] == [1, 2, 3, 4, 5]
        assert (await ledger.make_release(a_release(1, flags={"a": True}))).number == 6

    async def test_racing_releases_have_consecutive_numbers(self, ledger: Ledger) -> None:
        """Releases made at the same time have numbers without a gap, and equal ones share one."""
        made = await asyncio.gather(*(ledger.make_release(a_release(n // 2 + 1)) for n in range(20)))
        assert sorted(release.number for release in made) == [n // 2 + 1 for n in range(20)]
        for release in made:
            assert release == await ledger.release("hello", release.number)

    async def test_an_unknown_release_is_not_found(self, ledger: Ledger) -> None:
        """The error names the service, the number and the command that lists them."""
        with pytest.raises(NotFound, match=r"hello has no release r7\n.*bleen history hello"):
            await ledger.release("hello", 7)

    async def test_a_whole_rollout_is_read_in_order(self, ledger: Ledger) -> None:
        """The entries of a rollout come back in the order in which they were appended."""
        events: list[Event] = [
            RolloutStarted(a_rollout()),
            *(Decided(Wait(why=str(n))) for n in range(10)),
            Settled(Promoted(), stable=2),
            Decided(Done(Promoted(), why="the old fleet is retired")),
            Finished(),
        ]
        for n, event in enumerate(events):
            await ledger.append(a_draft(f"dev/hello/1/{n}", rollout="dev/hello/1", event=event))
            await ledger.append(a_draft(f"dev/other/1/{n}", service="other", rollout="dev/other/1", event=event))
        assert [entry.event for entry in await ledger.read(Query(rollout="dev/hello/1"))] == events
