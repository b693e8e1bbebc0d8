"""What an issuer's claims make of somebody: roles by rule, and a name that the ledger can take."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleen.domain.access import Identity, Role
from bleen.domain.errors import Forbidden
from bleen.domain.issuer import Claims, Issuer, RoleRule, person_of, program_of, roles_of, values_of

URL = "https://login.example.org"
TEAM = RoleRule({"dev": Role.DEPLOYER, "production": Role.VIEWER}, {"groups": ("developers", "testers")})
LEADS = RoleRule({"production": Role.APPROVER}, {"groups": ("leads",), "email_verified": ("true",)})
ROOT = RoleRule({"*": Role.ADMIN}, {"groups": ("platform",)})
ISSUER = Issuer(URL, (TEAM, LEADS, ROOT))


def claims(subject: str = "u-1", **said: Any) -> Claims:
    """Return what the issuer said."""
    return Claims(URL, subject, said)


@pytest.mark.parametrize(
    ("said", "roles"),
    [
        ({"groups": ["developers"]}, {"dev": "deployer", "production": "viewer"}),
        ({"groups": "testers"}, {"dev": "deployer", "production": "viewer"}),
        ({"groups": ["developers", "leads"], "email_verified": True}, {"dev": "deployer", "production": "approver"}),
        ({"groups": ["leads"], "email_verified": "true"}, {"production": "approver"}),
        ({"groups": ["developers", "platform"]}, {"dev": "deployer", "production": "viewer", "*": "admin"}),
    ],
)
def test_rules_give_the_highest_role_that_fits(said: dict[str, Any], roles: dict[str, str]) -> None:
    """Every rule that fits counts."""
    assert roles_of(ISSUER, claims(**said)) == roles


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"groups": []},
        {"groups": ["Developers"]},
        {"groups": ["developers "]},
        {"groups": "developers,testers"},
        {"groups": {"developers": True}},
        {"groups": [["developers"]]},
        {"groups": None},
        {"groups": ["leads"]},
        {"groups": ["leads"], "email_verified": False},
        {"group": ["developers"]},
    ],
)
def test_whom_no_rule_fits_is_let_in_nowhere(said: dict[str, Any]) -> None:
    """To the letter; and it says which claims were looked at."""
    with pytest.raises(Forbidden, match="no rule gives you a role") as caught:
        roles_of(ISSUER, claims(**said))
    assert "groups" in caught.value.why


def test_a_claim_inside_a_claim_is_found_by_its_path() -> None:
    """The claim of that very name comes first: some issuers use addresses for names."""
    said = {"realm_access": {"roles": ["a", 7, True, None, {}]}, "https://example.org/roles": "b"}
    assert values_of(said, "realm_access.roles") == ("a", "7", "true")
    assert values_of(said, "https://example.org/roles") == ("b",)
    assert values_of(said | {"realm_access.roles": "c"}, "realm_access.roles") == ("c",)
    assert values_of(said, "realm_access.roles.x") == values_of(said, "nothing.there") == ()


@pytest.mark.parametrize(
    "name", ["", " ada", "ada lovelace", "-ada", "ada\n", "a" * 65, "ädä", "auth0|1", None, ["ada", "bob"], {}]
)
def test_a_name_that_the_ledger_cannot_take_is_refused(name: Any) -> None:
    """An empty one above all: that is the owner of the home."""
    with pytest.raises(Forbidden, match="no name for the ledger"):
        person_of(ISSUER, claims(preferred_username=name))


def test_a_program_may_be_called_by_a_path() -> None:
    """A person may not: a token of ours has no such name."""
    said = claims(preferred_username="acme/shop:main")
    assert program_of(ISSUER, said) == "acme/shop:main"
    with pytest.raises(Forbidden):
        person_of(ISSUER, said)
    with pytest.raises(Forbidden):
        program_of(ISSUER, claims(preferred_username="../etc\n"))


VALUES = st.sampled_from(["a", "b", "c"])
RULES = st.builds(
    RoleRule,
    st.dictionaries(st.sampled_from(["*", "dev", "production"]), st.sampled_from(list(Role)), min_size=1),
    st.dictionaries(st.sampled_from(["x", "y"]), st.lists(VALUES, min_size=1).map(tuple), min_size=1),
)


@given(
    rules=st.lists(RULES, min_size=1, max_size=5),
    said=st.dictionaries(st.sampled_from(["x", "y"]), st.lists(VALUES)),
    need=st.sampled_from(list(Role)),
    where=st.sampled_from(["dev", "production", "staging"]),
)
def test_nobody_may_what_no_rule_that_fits_says(
    rules: list[RoleRule], said: dict[str, list[str]], need: Role, where: str
) -> None:
    """A role comes of one rule all of whose claims fit, whatever the others say."""
    fitting = [rule for rule in rules if all(set(said.get(c, [])) & set(wanted) for c, wanted in rule.when.items())]
    allowed = any(role.rank >= need.rank for rule in fitting for at, role in rule.roles.items() if at in ("*", where))
    try:
        roles = roles_of(Issuer(URL, tuple(rules)), Claims(URL, "u", said))
    except Forbidden:
        assert not fitting
        return
    assert Identity("ada", "", roles).may(need, where) == allowed
