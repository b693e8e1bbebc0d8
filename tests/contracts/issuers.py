"""The kit of the port `Issuers`: subclass `IssuersContract`.

It needs the fixtures ``issuers``, a provider whose people sign in and whose programs send tokens, and
``people``, who act there.
"""

import asyncio
from typing import Protocol

import pytest
from msgspec import structs

from bleen.domain.errors import Forbidden, InvalidInput
from bleen.domain.issuer import DeviceErrand, Errand
from bleen.ports import Issuers

BACK = "http://127.0.0.1:1/v1/sign-in/callback"


class People(Protocol):
    """Who signs in there. Ada's subject is ``u-1``, and one of her groups is ``platform``."""

    async def sign_in(self, errand: Errand) -> str:
        """Let ada sign in where a browser was sent; return the code that it brings back."""

    async def confirm(self, errand: DeviceErrand) -> None:
        """Let ada confirm a code."""

    async def refuse(self, errand: DeviceErrand) -> None:
        """Let ada say no to it."""

    async def token(self) -> str:
        """Return a token of the program ``shop``, whose ``project_path`` is ``acme/shop``."""


class IssuersContract:
    """What every provider of issuers keeps."""

    async def test_somebody_signs_in(self, issuers: Issuers, people: People) -> None:
        """By the code that their browser brings back, and with what the issuer knows of them."""
        errand = await issuers.begin(BACK)
        claims = await issuers.finish(errand, await people.sign_in(errand))
        assert (claims.subject, claims.said["preferred_username"]) == ("u-1", "ada")
        assert "platform" in claims.said["groups"]

    async def test_no_two_errands_are_alike(self, issuers: Issuers) -> None:
        """Nobody can tell the secrets of one from another one's."""
        one, other = await issuers.begin(BACK), await issuers.begin(BACK)
        assert not {one.state, one.nonce, one.verifier} & {other.state, other.nonce, other.verifier}
        assert min(len(one.state), len(one.nonce), len(one.verifier)) >= 43  # 256 bits; RFC 7636 wants 43 characters

    async def test_a_code_is_good_once(self, issuers: Issuers, people: People) -> None:
        """Whoever reads it in a log comes too late."""
        errand = await issuers.begin(BACK)
        code = await people.sign_in(errand)
        await issuers.finish(errand, code)
        with pytest.raises(InvalidInput, match="does not know this sign-in"):
            await issuers.finish(errand, code)

    async def test_a_code_is_for_the_errand_that_it_was_given_to(self, issuers: Issuers, people: People) -> None:
        """Somebody else's code, slipped into a browser, signs nobody in."""
        mine, theirs = await issuers.begin(BACK), await issuers.begin(BACK)
        code = await people.sign_in(theirs)
        with pytest.raises(InvalidInput):
            await issuers.finish(mine, code)

    async def test_a_code_that_was_made_up_is_worth_nothing(self, issuers: Issuers) -> None:
        """Nor one that is empty."""
        for code in ("made-up", ""):
            with pytest.raises(InvalidInput):
                await issuers.finish(await issuers.begin(BACK), code)

    async def test_a_device_waits_until_somebody_confirms(self, issuers: Issuers, people: People) -> None:
        """Then it hears who, once."""
        errand = await issuers.begin_device()
        assert errand.code and errand.every >= 1
        assert await issuers.finish_device(errand) is None
        await people.confirm(errand)
        claims = await told(issuers, errand)
        assert claims is not None and claims.subject == "u-1"
        with pytest.raises(InvalidInput):
            await told(issuers, errand)

    async def test_a_device_hears_that_somebody_said_no(self, issuers: Issuers, people: People) -> None:
        """Which is no error of the platform."""
        errand = await issuers.begin_device()
        await people.refuse(errand)
        with pytest.raises(Forbidden, match="said no"):
            await told(issuers, errand)

    async def test_a_device_that_was_made_up_hears_nothing(self, issuers: Issuers) -> None:
        """Whatever it says."""
        errand = structs.replace(await issuers.begin_device(), device="made-up")
        with pytest.raises(InvalidInput):
            await issuers.finish_device(errand)

    async def test_a_program_is_who_its_token_says(self, issuers: Issuers, people: People) -> None:
        """As often as it asks."""
        token = await people.token()
        for _ in range(2):
            claims = await issuers.read(token)
            assert (claims.subject, claims.said["project_path"]) == ("shop", "acme/shop")

    async def test_what_nobody_signed_is_nobody(self, issuers: Issuers, people: People) -> None:
        """A token with one letter changed, cut off, or empty."""
        token = await people.token()
        for wrong in (token[:-3] + ("AAA" if not token.endswith("AAA") else "BBB"), token[: len(token) // 2], "", "a.b.c"):
            with pytest.raises(InvalidInput):
                await issuers.read(wrong)


async def told(issuers: Issuers, errand: DeviceErrand) -> object:
    """Ask once more, after the time that the issuer wants between two questions."""
    await asyncio.sleep(errand.every / 5)  # the provider of the tests only says slow_down where it is asked at once
    return await issuers.finish_device(errand)
