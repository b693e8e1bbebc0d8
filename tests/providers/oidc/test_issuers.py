"""The port `Issuers` over a real OpenID Connect provider."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bleen.domain.access import Role
from bleen.domain.errors import InvalidInput, NotFound, Unreachable
from bleen.domain.issuer import Access, DeviceErrand, Errand, Issuer, RoleRule, SignInClient
from bleen.providers.oidc import OidcIssuers
from bleen.providers.oidc.metadata import FRESH, PATIENCE, STALE
from tests.contracts.issuers import BACK, IssuersContract
from tests.fixtures.oidc import AUDIENCE, SECRET, Provider, Visitor, provider

RULES = (RoleRule({"dev": Role.VIEWER}, {"groups": ("platform",)}),)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """A provider for the tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("oidc")
    (folder / "secret").write_text(SECRET + "\n")
    with provider(folder, [BACK]) as found:
        yield found


def access(real: Provider, client: SignInClient | None = None, audience: str = AUDIENCE) -> Access:
    """Return an access file that believes ``real``."""
    sign_in = client or SignInClient("bleen", str(real.folder / "secret"))
    return Access((Issuer(real.issuer, RULES, sign_in=sign_in, audience=audience),))


class RealPeople:
    """Keeps `People`, in a browser of their own each time."""

    def __init__(self, real: Provider) -> None:
        self.real = real

    async def sign_in(self, errand: Errand) -> str:
        place = await asyncio.to_thread(Visitor("u-1").sign_in, errand.url, BACK)
        params = httpx.URL(place).params
        assert (params["state"], params["iss"]) == (errand.state, self.real.issuer)
        return params["code"]

    async def confirm(self, errand: DeviceErrand) -> None:
        assert "Success" in await asyncio.to_thread(Visitor("u-1").confirm, errand.whole_url)

    async def refuse(self, errand: DeviceErrand) -> None:
        await asyncio.to_thread(Visitor("u-1").confirm, errand.whole_url, say="no")

    async def token(self) -> str:
        return await asyncio.to_thread(self.real.program_token)


@pytest.fixture
def people(real: Provider) -> RealPeople:
    """Who signs in there."""
    return RealPeople(real)


class TestWithASecret(IssuersContract):
    """Bleen as a client that has a secret."""

    @pytest.fixture
    def issuers(self, real: Provider) -> OidcIssuers:
        return OidcIssuers(access(real))


class TestWithoutASecret(IssuersContract):
    """Bleen as a public client: PKCE alone says that it is who asked."""

    @pytest.fixture
    def issuers(self, real: Provider) -> OidcIssuers:
        return OidcIssuers(access(real, SignInClient("public")))


async def test_a_code_is_worth_nothing_without_its_verifier(real: Provider, people: RealPeople) -> None:
    """PKCE: the provider itself refuses whoever did not ask for the code."""
    issuers = OidcIssuers(access(real, SignInClient("public")))
    errand, other = await issuers.begin(BACK), await issuers.begin(BACK)
    code = await people.sign_in(errand)
    stolen = Errand(errand.url, BACK, errand.state, errand.nonce, other.verifier)
    with pytest.raises(InvalidInput, match="does not know this sign-in"):
        await issuers.finish(stolen, code)


async def test_what_was_signed_for_another_sign_in_is_refused(real: Provider, people: RealPeople) -> None:
    """The nonce inside the token is not the one that this browser was sent with."""
    issuers = OidcIssuers(access(real))
    errand, other = await issuers.begin(BACK), await issuers.begin(BACK)
    code = await people.sign_in(errand)
    with pytest.raises(InvalidInput, match="does not count") as caught:
        await issuers.finish(Errand(errand.url, BACK, errand.state, other.nonce, errand.verifier), code)
    assert "nonce" in caught.value.why


async def test_a_wrong_secret_signs_nobody_in(real: Provider, people: RealPeople, tmp_path: Path) -> None:
    """And one that cannot be read says where it should be."""
    (tmp_path / "wrong").write_text("wrong")
    issuers = OidcIssuers(access(real, SignInClient("bleen", str(tmp_path / "wrong"))))
    errand = await issuers.begin(BACK)
    with pytest.raises(InvalidInput):
        await issuers.finish(errand, await people.sign_in(errand))
    lost = OidcIssuers(access(real, SignInClient("bleen", str(tmp_path / "lost"))))
    with pytest.raises(NotFound, match="secret"):
        await lost.finish(errand, "any")


async def test_a_token_for_another_audience_is_refused(real: Provider) -> None:
    """It was made for somebody else, who must not be able to come here with it."""
    issuers = OidcIssuers(access(real, audience="https://other.example.org"))
    with pytest.raises(InvalidInput) as caught:
        await issuers.read(real.program_token())
    assert "another audience" in caught.value.why


async def test_a_token_counts_until_it_expires_and_a_minute_more(real: Provider) -> None:
    """Clocks differ: a minute on either side is forgiven, and no more."""
    token = real.program_token()
    made = await OidcIssuers(access(real)).read(token)
    expires, issued = made.said["exp"], made.said["iat"]
    for now in (issued - 59, expires + 59):
        await OidcIssuers(access(real), now=lambda now=now: float(now)).read(token)
    for now, why in ((issued - 70, "future"), (expires + 70, "expired")):
        with pytest.raises(InvalidInput) as caught:
            await OidcIssuers(access(real), now=lambda now=now: float(now)).read(token)
        assert why in caught.value.why


async def test_nothing_is_taken_where_no_audience_is_named(real: Provider) -> None:
    """Nor of an issuer that is not in the file."""
    with pytest.raises(InvalidInput, match="does not count"):
        await OidcIssuers(access(real, audience="")).read(real.program_token())
    with pytest.raises(InvalidInput, match="does not count"):
        await OidcIssuers(Access()).read(real.program_token())


async def test_an_issuer_that_is_none_is_said_to_be_none(real: Provider) -> None:
    """One that answers with something else, and one under another name than its own."""
    nobody = OidcIssuers(Access((Issuer(f"{real.issuer}/nowhere", RULES, sign_in=SignInClient("bleen")),)))
    with pytest.raises(Unreachable, match="no OpenID Connect issuer"):
        await nobody.begin(BACK)
    alias = real.issuer.replace("127.0.0.1", "localhost")
    with pytest.raises(Unreachable, match="another issuer"):
        await OidcIssuers(Access((Issuer(alias, RULES, sign_in=SignInClient("bleen")),))).begin(BACK)
    away = OidcIssuers(Access((Issuer("http://127.0.0.1:9", RULES, sign_in=SignInClient("bleen")),)))
    with pytest.raises(Unreachable, match="does not answer"):
        await away.begin(BACK)


class Clock:
    """Seconds, as a test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_new_keys_are_found_and_old_ones_forgotten(tmp_path: Path) -> None:
    """A provider that signs with other keys is believed at once, though nobody told us; the keys that it withdrew are not."""
    (tmp_path / "secret").write_text(SECRET)
    with provider(tmp_path, [BACK]) as real:
        clock = Clock()
        issuers = OidcIssuers(access(real), clock=clock)
        before = real.program_token()
        await issuers.read(before)
        real.rotate()
        after = real.program_token()
        clock.now += PATIENCE + 1
        await issuers.read(after)
        with pytest.raises(InvalidInput) as caught:
            await issuers.read(before)
        assert "does not publish" in caught.value.why


async def test_known_keys_count_while_the_issuer_is_away(tmp_path: Path) -> None:
    """It may be what is being deployed; but not for longer than a day."""
    (tmp_path / "secret").write_text(SECRET)
    with provider(tmp_path, [BACK]) as real:
        clock = Clock()
        issuers = OidcIssuers(access(real), clock=clock)
        token = real.program_token()
        await issuers.read(token)
        real.stop()
        clock.now += FRESH + 1
        await issuers.read(token)
        clock.now += STALE
        with pytest.raises(Unreachable, match="does not answer"):
            await issuers.read(token)
