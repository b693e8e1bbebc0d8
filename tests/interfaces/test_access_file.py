"""The access file: what is wrong with one is said with its line, before anything is started."""

from pathlib import Path

import pytest

from bleen.app.platform import LocalPlatform
from bleen.domain.issuer import Access
from bleen.interfaces.repository.access import examine_access, read_access
from bleen.interfaces.repository.problem import InvalidFiles
from bleen.interfaces.repository.reference import ACCESS_EXAMPLE
from bleen.settings import read_settings

GOOD = """\
issuers:
  - issuer: https://login.example.org
    sign_in: {client: bleen}
    rules:
      - {when: {groups: [a]}, roles: {dev: viewer}}
"""


def test_the_example_is_good(tmp_path: Path) -> None:
    """And no file is an empty one."""
    (tmp_path / "access.yaml").write_text(ACCESS_EXAMPLE)
    access = read_access(str(tmp_path / "access.yaml"))
    assert [issuer.title for issuer in access.issuers] == ["Acme", "gitlab.example.org"]
    assert access.door is access.issuers[0]
    assert read_access("") == Access()


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("https://login", "http://login", 2, "is not https"),
        ("    sign_in: {client: bleen}\n", "", 2, "used for nothing"),
        ("{client: bleen}", "{client: bleen, scopes: [profile]}", 3, "`openid`"),
        ("{client: bleen}", "{client: bleen}\n    audience: bleen", 4, "the client's id"),
        ("{client: bleen}", "{client: bleen}\n    lasts: 30d", 4, "`lasts` is 30d"),
        ("{client: bleen}", "{client: bleen}\n    lasts: 1s", 4, "`lasts` is 1s"),
        ("{client: bleen}", "{clinet: bleen}", 3, "clinet"),
        ("issuers:", "address: http://bleen.example.org\nissuers:", 1, "`address` is not https"),
        ("dev: viewer", "dev: owner", 5, "owner"),
        ("dev: viewer", "Dev: viewer", 5, "Dev"),
        ("{groups: [a]}", "{}", 5, ""),
        ("{dev: viewer}", "{}", 5, ""),
        ("issuers:", "isuers:", 1, "isuers"),
        ("https://login.example.org", "https://login.example.org?x=1", 2, "login"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    """And with what to write instead."""
    assert old in GOOD
    path = tmp_path / "access.yaml"
    path.write_text(GOOD.replace(old, new))
    _, problems = examine_access(path)
    assert problems and (problems[0].line, says in problems[0].what) == (line, True), problems


@pytest.mark.parametrize(("more", "says"), [(GOOD.partition("\n")[2], "there twice"), ("", "two issuers have `sign_in`")])
def test_issuers_do_not_get_in_each_others_way(tmp_path: Path, more: str, says: str) -> None:
    """One of each, and one that people sign in with."""
    path = tmp_path / "access.yaml"
    path.write_text(GOOD + (more or GOOD.partition("\n")[2].replace("login", "other")))
    _, problems = examine_access(path)
    assert says in problems[0].what


def test_a_wrong_file_starts_nothing(tmp_path: Path) -> None:
    """`bleen up` says what is wrong, and leaves no home half-made."""
    for text in (GOOD.replace("https://login", "http://login"), None):
        file = tmp_path / "access.yaml"
        file.unlink(missing_ok=True)
        if text is not None:
            file.write_text(text)
        environ = {"BLEEN_HOME": str(tmp_path / "home"), "BLEEN_ACCESS_FILE": str(file), "BLEEN_API_PORT": "0"}
        platform = LocalPlatform(read_settings(environ | {"BLEEN_GATEWAY_PORT": "0", "BLEEN_SERVICE_PORTS": "0"}))
        with pytest.raises(InvalidFiles, match=r"access\.yaml"):
            platform.up()
        assert not (tmp_path / "home" / "token").exists()
