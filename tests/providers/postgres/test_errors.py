"""Every error of the database client becomes one of Bleen's, in one place."""

import psycopg
import pytest
from psycopg import errors

from bleen.domain.errors import BleenError, InvalidInput, Permanent, StorageFull, Transient, Unreachable
from bleen.providers.postgres.errors import check_url, translate
from bleen.providers.postgres.ledger import PostgresLedger
from tests.contracts.ledger import a_draft
from tests.fixtures.postgres import RunningServer


def raised(server: RunningServer, code: str) -> psycopg.Error:
    """Return the error that the real server raises with this SQLSTATE."""
    with psycopg.connect(server.url) as connection, pytest.raises(psycopg.Error) as caught:
        connection.execute(f"do $$ begin raise exception 'it failed' using errcode = '{code}'; end $$".encode())
    return caught.value


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("53100", StorageFull),
        ("53200", Unreachable),
        ("53300", Unreachable),
        ("57014", Unreachable),
        ("57P01", Unreachable),
        ("57P03", Unreachable),
        ("08006", Unreachable),
        ("40P01", Unreachable),
        ("55P03", Unreachable),
        ("25006", Unreachable),
        ("58030", Unreachable),
        ("28P01", InvalidInput),
        ("3D000", InvalidInput),
        ("42501", InvalidInput),
        ("22021", InvalidInput),
        ("42P01", Permanent),
        ("BL001", Permanent),
        ("XX001", Permanent),
    ],
)
def test_each_sqlstate_has_its_meaning(postgres_server: RunningServer, code: str, kind: type[BleenError]) -> None:
    """What the server says decides whether trying again can help; the message keeps the server's words and its code."""
    translated = translate(raised(postgres_server, code))
    assert type(translated) is kind
    assert "it failed" in str(translated)
    assert code in str(translated)


def test_no_error_of_the_client_is_left_untranslated() -> None:
    """Every exception class that psycopg knows becomes a Bleen error that says whether trying again can help."""
    classes = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, psycopg.Error)}
    assert len(classes) > 200
    for kind in classes:
        translated = translate(kind("it failed"))
        assert isinstance(translated, Transient | Permanent), kind
        assert "it failed" in str(translated)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("nonsense", "the scheme"),
        ("mysql://user@host/database", "the scheme"),
        ("postgresql://user:pass%zz@host/database", "the user, the password or the host"),
        ("postgresql://[::1:5432/database", "the user, the password or the host"),
        ("postgresql://host/database?colour=blue", "an option"),
        ("postgresql://host:abc/database", "the port"),
        ("postgresql://host:70000/database", "the port"),
        ("postgresql://user:geheim/x@host/database", "the port"),
    ],
)
def test_a_wrong_url_says_which_part(url: str, part: str) -> None:
    """A URL that names no database is refused before any connection, by part, and without its password."""
    with pytest.raises(InvalidInput, match=r"environment: .*BLEEN_DATABASE_URL is wrong") as caught:
        check_url(url)
    assert part in caught.value.what
    assert "geheim" not in str(caught.value)
    assert "zz" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (("bleen:", "nobody:"), "the user or the password"),
        (("bleen:", "bleen:wrong"), "the user or the password"),
        (("@/test?", "@/missing?"), "the database"),
        (("@/", "@no-such-host.invalid/"), "the host"),
        (("?host=", "?sslmode=maybe&host="), "sslmode"),
    ],
)
async def test_a_refused_connection_says_which_part(database_url: str, change: tuple[str, str], part: str) -> None:
    """What the server or the resolver refuses is named by part, at once: waiting would not help."""
    url = database_url.replace(*change)
    if "no-such-host" in url:
        url = url.split("?")[0]
    ledger = PostgresLedger(url, patience=30)
    with pytest.raises(InvalidInput, match="BLEEN_DATABASE_URL") as caught:
        await ledger.append(a_draft("k"))
    assert part in caught.value.what


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    """Nobody listens: trying again may help."""
    ledger = PostgresLedger("postgresql://user@127.0.0.1:1/database", patience=0.1)
    with pytest.raises(Unreachable, match="Connection refused"):
        await ledger.append(a_draft("k"))
