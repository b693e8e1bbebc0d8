"""Secrets of a Key Vault, read by the real SDK over TLS: who may, what there is, and what is never sent anywhere."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from bleen.domain.errors import Forbidden, InvalidInput, NotFound, Unreachable
from bleen.domain.release import Runtime, SecretRef
from bleen.ports import Secrets
from bleen.providers.azure.assignment import check_name, check_secrets
from bleen.providers.azure.vault import VaultSecrets
from tests.azure.double.cloud import TOKEN, Cloud
from tests.azure.estate import certify
from tests.azure.test_fleets import order


class Identity:
    """The managed identity of a machine, which remembers for what it was asked."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        self.scopes += scopes
        return AccessToken(TOKEN, 2**40)

    async def close(self) -> None:
        """Nothing is held."""

    async def __aenter__(self) -> "Identity":
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is held."""


@dataclass
class Scene:
    """A vault in the double, and what reads it."""

    cloud: Cloud
    identity: Identity
    secrets: VaultSecrets


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    tls = certify(tmp_path / "azure.pem")
    cloud, identity = Cloud(), Identity()
    await cloud.start(tls)
    async with VaultSecrets(identity, connection_verify=str(tmp_path / "azure.pem"), retry_total=0) as secrets:
        await secrets.at(cloud.secure_url)
        yield Scene(cloud, identity, secrets)
    await cloud.close()


async def test_a_secret_is_read_as_whoever_the_machine_is(scene: Scene) -> None:
    """The vault says for what to bring a token; the value comes as it is."""
    scene.cloud.vault.secrets["shop-db"] = " hunter2\nand more\n"
    port: Secrets = scene.secrets
    assert await port.resolve("shop-db") == " hunter2\nand more\n"
    assert len(scene.identity.scopes) == 1 and scene.identity.scopes[0].endswith("/.default")


async def test_each_start_has_the_newest_value(scene: Scene) -> None:
    """Nothing is kept: what was rotated counts from the next start on."""
    for value in ("one", "two"):
        scene.cloud.vault.secrets["key"] = value
        assert await scene.secrets.resolve("key") == value
    assert scene.cloud.vault.asked == 2


async def test_a_missing_secret_says_how_to_put_it_there(scene: Scene) -> None:
    """By the name of the vault, and with nothing of another secret."""
    scene.cloud.vault.secrets["other"] = "hunter2"
    with pytest.raises(NotFound, match="there is no secret shop-db") as told:
        await scene.secrets.resolve("shop-db")
    assert "az keyvault secret set" in str(told.value) and "--name shop-db" in str(told.value)
    assert "hunter2" not in str(told.value)


async def test_who_has_no_role_is_told_which(scene: Scene) -> None:
    """And not that there were no such secret."""
    scene.cloud.vault.closed = True
    with pytest.raises(Forbidden, match="Key Vault Secrets User"):
        await scene.secrets.resolve("shop-db")


async def test_no_token_goes_where_no_vault_is(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that asks for a token of somewhere else gets none of any kind."""
    monkeypatch.setattr(scene.cloud.vault, "resource", "https://vault.example")
    with pytest.raises(Unreachable, match="does not answer as a vault"):
        await scene.secrets.resolve("shop-db")
    assert (scene.identity.scopes, scene.cloud.vault.asked) == ([], 0)


async def test_a_vault_that_is_away_is_asked_again_later(scene: Scene) -> None:
    """Also one that nobody has named yet: the instance is started again until it is there."""
    await scene.cloud.close()
    with pytest.raises(Unreachable):
        await scene.secrets.resolve("shop-db")
    await scene.secrets.at("")
    with pytest.raises(Unreachable, match="was not told of a vault"):
        await scene.secrets.resolve("shop-db")


async def test_a_name_that_no_vault_takes_is_not_asked_for(scene: Scene) -> None:
    """It could be a path."""
    for name in ("SHOP_DB", "a.b", "../certificates/x", "", "a" * 128):
        with pytest.raises(InvalidInput, match="no name of a secret in Azure"):
            await scene.secrets.resolve(name)
    assert scene.cloud.vault.asked == 0


@given(st.text(max_size=130))
def test_a_name_is_letters_digits_and_hyphens(name: str) -> None:
    """Of ASCII, and nothing else."""
    good = 0 < len(name) < 128 and all(each == "-" or (each.isascii() and each.isalnum()) for each in name)
    try:
        check_name(name)
    except InvalidInput:
        assert not good
    else:
        assert good


def test_an_order_that_no_machine_could_start_is_refused() -> None:
    """Because of a name, or since the site names no vault; one without secrets needs none."""
    plain = structs.replace(order(), runtime=Runtime(("run",), env={"A": "b"}))
    check_secrets(plain, "")
    named = structs.replace(order(), runtime=Runtime(("run",), env={"DB": SecretRef("shop-db")}))
    check_secrets(named, "https://kv.vault.azure.net/")
    with pytest.raises(InvalidInput, match="needs the secret shop-db"):
        check_secrets(named, "")
    with pytest.raises(InvalidInput, match="SHOP_DB"):
        wrong = structs.replace(order(), runtime=Runtime(("run",), env={"DB": SecretRef("SHOP_DB")}))
        check_secrets(wrong, "https://kv.vault.azure.net/")
