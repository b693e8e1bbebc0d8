"""The one place where psycopg's errors become Bleen's."""

import psycopg
from psycopg.conninfo import conninfo_to_dict

from bleen.domain.errors import BleenError, InvalidInput, Permanent, StorageFull, Unreachable

VARIABLE = "BLEEN_DATABASE_URL"
EXAMPLE = f"write {VARIABLE}=postgresql://user:password@host:5432/database"

CODES: tuple[tuple[str, type[BleenError], str], ...] = (
    # (start of the SQLSTATE, what it becomes, what to do); the longest start wins, see Appendix A of the manual.
    ("08", Unreachable, "bleen doctor says which part is down"),  # the connection broke
    ("22", InvalidInput, ""),  # data that the database cannot hold
    ("25006", Unreachable, "the server is a standby, or is failing over"),  # read-only transaction
    ("28", InvalidInput, f"check the user and the password in {VARIABLE}"),
    ("3D000", InvalidInput, f"check the database in {VARIABLE}"),
    ("40", Unreachable, ""),  # deadlock or serialisation: trying again helps
    ("42501", InvalidInput, f"the user in {VARIABLE} needs the right to create a schema"),
    ("53", Unreachable, "the server has too little memory, or too many connections"),
    ("53100", StorageFull, "make room on the disk of the database"),
    ("55P03", Unreachable, ""),  # lock timeout
    ("57014", Unreachable, "the database is slow: bleen doctor"),  # statement timeout
    ("57P", Unreachable, "bleen doctor says which part is down"),  # shut down, crashed, starting
    ("58", Unreachable, "look at the log of the database"),  # its disk or its system failed
)

REFUSALS: tuple[tuple[str, str], ...] = (
    # (in libpq's message, the part of the URL that is wrong): a refused connection has no SQLSTATE.
    ("password authentication failed", "the user or the password"),
    ("no password supplied", "the password"),
    ("no pg_hba.conf entry", "the user, the database or sslmode"),
    ("role ", "the user"),
    ("database ", "the database"),
    ("Name or service not known", "the host"),
    ("could not translate host name", "the host"),
    ("Unix-domain socket path", "the host"),
    ("sslmode value", "sslmode"),
    ("server does not support SSL", "sslmode"),
    ("root certificate file", "sslrootcert"),
    ("certificate verify failed", "sslmode or sslrootcert"),
    ("invalid integer value", "an option"),
)


def translate(error: psycopg.Error) -> BleenError:
    """Return what ``error`` means to Bleen."""
    text = _first_line(error)
    if error.sqlstate is not None:
        return _from_code(error.sqlstate, text)
    if isinstance(error, psycopg.DataError):
        return InvalidInput("the database cannot hold this value", why=text)
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return Permanent("the database client failed", why=text)
    part = _refused_part(str(error))
    if part:
        return InvalidInput(f"the database refuses {part} of {VARIABLE}", why=text, next=EXAMPLE, where="environment")
    return Unreachable("the database did not answer", why=text, next="bleen doctor says which part is down")


def check_url(url: str) -> None:
    """Refuse a URL that cannot name a database: InvalidInput, which says the wrong part and never quotes the password."""
    if not url.startswith(("postgresql://", "postgres://")):
        raise _wrong("the scheme", "it does not begin with postgresql://")
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error as error:
        # libpq quotes what it could not parse, which may be a piece of the password.
        what = "an option" if "query parameter" in str(error) else "the user, the password or the host"
        raise _wrong(what, "it cannot be parsed; write @ : / % in a password as %40 %3A %2F %25") from None
    for port in str(parts.get("port", "5432")).split(","):
        if not port.isdigit() or not 0 < int(port) <= 65535:
            raise _wrong("the port", "it is no number from 1 to 65535; a / or @ in a password is written %2F or %40")


def _wrong(part: str, why: str) -> InvalidInput:
    return InvalidInput(f"{part} of {VARIABLE} is wrong", why=why, next=EXAMPLE, where="environment")


def _from_code(code: str, text: str) -> BleenError:
    matches = [row for row in CODES if code.startswith(row[0])]
    if not matches:
        return Permanent("the database refused", why=f"{text} (SQLSTATE {code})", next="bleen doctor")
    _, kind, step = max(matches, key=lambda row: len(row[0]))
    what = "no room on the disk of the database" if kind is StorageFull else "the database could not do it"
    return kind(what, why=f"{text} (SQLSTATE {code})", next=step)


def _refused_part(message: str) -> str:
    # "FATAL:  the database system is starting up" names no part: only a quoted name is a wrong one.
    for sign, part in REFUSALS:
        quoted = sign + '"' if sign.endswith(" ") else sign
        if quoted in message:
            return part
    return ""


def _first_line(error: psycopg.Error) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
