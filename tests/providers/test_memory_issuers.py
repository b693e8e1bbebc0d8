"""The issuers in memory keep the contract."""

import pytest

from bleen.domain.access import Role
from bleen.domain.errors import Unreachable
from bleen.domain.issuer import Access, DeviceErrand, Errand, Issuer, RoleRule, SignInClient
from bleen.providers.memory.issuers import MemoryIssuers
from tests.contracts.issuers import BACK, IssuersContract

RULE = RoleRule({"dev": Role.VIEWER}, {"groups": ("platform",)})
ISSUER = Issuer("https://login.example.org", (RULE,), sign_in=SignInClient("bleen"), audience="us")
ADA = {"preferred_username": "ada", "groups": ["platform"]}


class MemoryPeople:
    """Keeps `People`."""

    def __init__(self, issuers: MemoryIssuers) -> None:
        self.issuers = issuers

    async def sign_in(self, errand: Errand) -> str:
        return self.issuers.visit(errand, "u-1", **ADA)

    async def confirm(self, errand: DeviceErrand) -> None:
        self.issuers.confirm(errand, "u-1", **ADA)

    async def refuse(self, errand: DeviceErrand) -> None:
        self.issuers.refuse(errand)

    async def token(self) -> str:
        return self.issuers.sign(ISSUER, "shop", project_path="acme/shop")


class TestMemoryIssuers(IssuersContract):
    @pytest.fixture
    def issuers(self) -> MemoryIssuers:
        return MemoryIssuers(Access((ISSUER,)))

    @pytest.fixture
    def people(self, issuers: MemoryIssuers) -> MemoryPeople:
        return MemoryPeople(issuers)


async def test_an_issuer_may_be_away() -> None:
    """Then nobody is anybody."""
    issuers = MemoryIssuers(Access((ISSUER,)))
    issuers.answers = False
    with pytest.raises(Unreachable):
        await issuers.begin(BACK)
    with pytest.raises(Unreachable):
        await issuers.read("any")
