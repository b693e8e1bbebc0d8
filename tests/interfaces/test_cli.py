"""The command line: what it prints, and how it ends."""

import time
from pathlib import Path

import pytest

from bleen.interfaces.client import Client
from tests.interfaces.conftest import Bleen, write_service
from tests.interfaces.estate import Estate

REFUSED = "  checks:\n    before:\n      - {type: http, path: /fail}\n"
ASKING = "  auto_promote: false\n"

pytestmark = pytest.mark.usefixtures("repository")


def until_it_asks(client: Client) -> None:
    """Return once the rollout of hello waits for a person."""
    deadline = time.monotonic() + 10
    while True:
        progress = client.service("dev", "hello").progress
        if progress is not None and type(progress.decision).__name__ == "AskHuman":
            return
        assert time.monotonic() < deadline
        time.sleep(0.01)


# ---- nothing runs ----


@pytest.mark.parametrize(
    "words",
    [("status",), ("deploy", "hello"), ("promote", "hello"), ("rollback", "hello"), ("history", "hello"), ("logs", "hello")],
)
def test_without_a_platform_it_says_what_to_type(bleen: Bleen, words: tuple[str, ...]) -> None:
    """Exit code 3, and `bleen up` as the next command."""
    typed = bleen(*words)
    assert (typed.code, typed.out) == (3, "")
    assert "next: bleen up" in typed.err
    as_json = bleen(*words, "--json")
    assert as_json.code == 3
    assert as_json.json["error"]["next"] == "bleen up"
    assert as_json.json["exit_code"] == 3


def test_up_and_down_say_what_they_did(bleen: Bleen, idle: Estate) -> None:
    """Twice is the same as once."""
    up = bleen("up", "--json").json
    assert up["server"] == idle.address
    assert bleen("up", "--json").json == up
    assert "platform is up" in bleen("up").out
    assert bleen("down", "--json").json["ran"] is True
    assert "nothing ran" in bleen("down").out


def test_doctor_tells_what_to_do(bleen: Bleen) -> None:
    """A warning is no failure."""
    typed = bleen("doctor")
    assert typed.code == 0
    assert "next: instances run as plain processes" in typed.out
    assert [f["level"] for f in bleen("doctor", "--json").json["findings"]] == ["good", "warning"]


# ---- wrong usage ----


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("nonsense",), "nonsense"),
        (("deploy",), "SERVICE"),
        (("deploy", "hello", "--nonsense"), "--nonsense"),
        (("deploy", "hello", "--version", "1", "--image", "a" * 64), "exclude"),
        (("deploy", "hello", "--image", "latest"), "no digest"),
        (("deploy", "nope"), "no service nope"),
        (("scale", "hello", "0"), "not in the range 1"),
        (("scale", "hello", "many"), "not a valid int"),
        (("rollback", "hello", "--to", "yesterday"), "no release"),
        (("explain", "dev/hello/x"), "no rollout"),
        (("schema", "nonsense"), "no schema"),
        (("validate", "nowhere.yaml"), "no such file"),
        (("image", "show", "0123"), "no image"),
        (("status", "nope"), "no service nope"),
    ],
)
@pytest.mark.usefixtures("estate")
def test_wrong_usage_is_exit_code_2(bleen: Bleen, words: tuple[str, ...], what: str) -> None:
    """It names what is wrong; with --json as one object."""
    typed = bleen(*words)
    assert typed.code == 2
    assert what in typed.err + typed.out
    as_json = bleen(*words, "--json")
    assert as_json.code == 2
    assert what in str(as_json.json)


def test_a_broken_service_file_is_shown_at_its_line(bleen: Bleen, repository: Path) -> None:
    """File and line, what, why, and what to write; nothing was asked of a server."""
    write_service(repository, more="nonsense: 1\n")
    typed = bleen("deploy", "hello")
    assert typed.code == 2
    assert "applications/hello/service.yaml:14" in typed.err
    validated = bleen("validate")
    assert validated.code == 2 and "applications/hello/service.yaml:14" in validated.out
    problems = bleen("validate", "--json").json["problems"]
    assert [(p["line"], p["severity"]) for p in problems] == [(14, "error")]


def test_good_files_are_called_good(bleen: Bleen) -> None:
    """Exit code 0."""
    assert bleen("validate").code == 0
    assert bleen("validate", "--json").json == {"ok": True, "problems": []}


def test_init_writes_a_repository_that_validates(bleen: Bleen, tmp_path: Path) -> None:
    """And says what to type next."""
    assert "next: cd" in bleen("init", str(tmp_path / "shop")).out
    assert bleen("validate", str(tmp_path / "shop")).code == 0


def test_the_schema_is_json(bleen: Bleen) -> None:
    """Of the service file."""
    assert "properties" in str(bleen("schema", "service").json)


# ---- deploying ----


@pytest.mark.usefixtures("estate")
def test_a_good_release_is_promoted(bleen: Bleen, repository: Path) -> None:
    """Exit code 0, the release and how to undo it; again changes nothing."""
    first = bleen("deploy", "hello", "--json")
    assert first.code == 0
    assert first.json["ending"]["outcome"] == {"type": "promoted"}
    assert bleen("deploy", "hello").code == 0
    assert bleen("deploy", "hello", "--json").json["result"]["type"] == "unchanged"
    write_service(repository, version="2.0.0")
    second = bleen("deploy", "hello")
    assert second.code == 0
    assert "r2 (2.0.0) serves hello" in second.out
    assert "bleen rollback hello" in second.out


@pytest.mark.usefixtures("estate")
def test_a_refused_release_says_which_check_refused_it(bleen: Bleen, repository: Path) -> None:
    """Exit code 1, the check with what it saw, and what to type."""
    bleen("deploy", "hello")
    write_service(repository, version="2.0.0", more=REFUSED)
    typed = bleen("deploy", "hello")
    assert typed.code == 1
    assert "GET /fail is 200: answered 500, not 200" in typed.out
    assert "bleen explain dev/hello/2" in typed.out
    again = bleen("retry", "hello", "--json")
    assert again.code == 1
    assert again.json["ending"]["failed_check"]["passed"] is False


def test_a_crashing_release_shows_its_last_words(bleen: Bleen, repository: Path, estate: Estate) -> None:
    """Exit code 1, how it ended, and what it said."""
    from bleen.providers.memory.fleets import Behaviour

    bleen("deploy", "hello")
    write_service(repository, version="2.0.0")
    bleen("deploy", "hello", "--dry-run")  # which builds the image
    image = bleen("image", "list", "--json").json["images"][0]
    assert image["version"] == "2.0.0"
    estate.fleets.behaviours[image["digest"]] = Behaviour(ready_after=None, crashes_after=0.05)
    typed = bleen("deploy", "hello")
    assert typed.code == 1
    assert "crash" in typed.out


def test_what_cannot_be_built_is_exit_code_2(bleen: Bleen, repository: Path, estate: Estate) -> None:
    """In the words of the builder; nothing was changed."""
    estate.images.fail_build("9", why="there is no such version")
    write_service(repository, version="9")
    typed = bleen("deploy", "hello")
    assert typed.code == 2
    assert "there is no such version" in typed.err


@pytest.mark.usefixtures("estate")
def test_a_dry_run_lists_the_decisions(bleen: Bleen) -> None:
    """In order, with reasons; nothing is deployed."""
    typed = bleen("deploy", "hello", "--dry-run")
    assert typed.code == 0
    assert "1. launch blue r1, 2 instances" in typed.out
    assert bleen("deploy", "hello", "--dry-run", "--json").json["decisions"][0]["type"] == "launch"
    assert bleen("status", "--json").json["services"] == []


def test_detached_it_returns_at_once(bleen: Bleen, repository: Path, client: Client) -> None:
    """And says how to watch; the rollout goes on until a person promotes it."""
    bleen("deploy", "hello")
    write_service(repository, version="2.0.0", more=ASKING)
    typed = bleen("deploy", "hello", "--detach")
    assert typed.code == 0
    assert "bleen status hello --watch" in typed.out
    until_it_asks(client)
    assert bleen("pause", "hello").code == 0
    assert "paused by" in bleen("status", "hello").out
    assert bleen("resume", "hello", "--json").json["paused_since"] is None
    assert bleen("promote", "hello").code == 0


def test_ctrl_c_leaves_the_rollout_running(
    bleen: Bleen, repository: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says how to watch it and how to stop it; the rollout still waits for its person."""
    bleen("deploy", "hello")
    write_service(repository, version="2.0.0", more=ASKING)

    def interrupt(_: float) -> None:
        until_it_asks(client)
        raise KeyboardInterrupt

    monkeypatch.setattr("bleen.interfaces.cli.follow.time.sleep", interrupt)
    typed = bleen("deploy", "hello")
    monkeypatch.undo()
    assert typed.code == 130
    assert "bleen status hello --watch; stop it: bleen abort hello" in typed.out
    until_it_asks(client)


def test_an_aborted_deployment_is_exit_code_1(bleen: Bleen, repository: Path, client: Client) -> None:
    """The one who watches learns who stopped it."""
    import threading

    bleen("deploy", "hello")
    write_service(repository, version="2.0.0", more=ASKING)

    def abort() -> None:
        from bleen.domain.command import Abort

        until_it_asks(client)
        client.command("dev", "hello", Abort("somebody"))

    stopper = threading.Thread(target=abort)
    time_before = client.service("dev", "hello").at
    stopper.start()
    typed = bleen("deploy", "hello")
    stopper.join()
    assert typed.code == 1, time_before
    assert "aborted by somebody" in typed.out


@pytest.mark.usefixtures("estate")
def test_scaling_needs_no_rollout(bleen: Bleen) -> None:
    """It says from what to what, and that the service file has the last word."""
    assert "next: bleen deploy hello" in bleen("scale", "hello", "4").err
    bleen("deploy", "hello")
    typed = bleen("scale", "hello", "4")
    assert typed.code == 0
    assert "r1 of hello goes from 2 to 4 instances" in typed.out and "service file" in typed.out
    assert "has 4 instances already" in bleen("scale", "hello", "4").out
    result = bleen("scale", "hello", "1", "--json").json["result"]
    assert result == {"type": "resized", "release": 1, "before": 4, "after": 1}


def test_a_rollout_under_way_is_scaled(bleen: Bleen, repository: Path, client: Client) -> None:
    """Both of its fleets get the new size."""
    bleen("deploy", "hello")
    write_service(repository, version="2.0.0", more=ASKING)
    bleen("deploy", "hello", "--detach")
    until_it_asks(client)
    typed = bleen("scale", "hello", "3")
    assert (typed.code, "goes on with 3 instances" in typed.out) == (0, True)
    assert bleen("scale", "hello", "3", "--json").json["result"]["rollout"]["size"] == 3


# ---- rolling back, looking back ----


@pytest.mark.usefixtures("estate")
def test_a_rollback_ends_when_the_old_release_serves(bleen: Bleen, repository: Path) -> None:
    """Exit code 0: it is what was asked for; a second one has nothing to go back to."""
    bleen("deploy", "hello")
    write_service(repository, version="2.0.0")
    bleen("deploy", "hello")
    typed = bleen("rollback", "hello", "--json")
    assert typed.code == 0
    assert typed.json["ending"]["outcome"]["type"] == "rolled-back"
    service = bleen("status", "hello", "--json").json["services"][0]
    assert service["stable"]["number"] == 1
    assert bleen("rollback", "hello").code == 3


@pytest.mark.usefixtures("estate")
def test_status_names_the_server_and_the_services(bleen: Bleen, idle: Estate) -> None:
    """As programs need it."""
    bleen("deploy", "hello")
    report = bleen("status", "--json").json
    assert report["server"] == idle.address
    assert [s["service"] for s in report["services"]] == ["hello"]
    assert report["services"][0]["urls"]["live"] == "http://hello.localhost:8080"


@pytest.mark.usefixtures("estate")
def test_a_history_is_newest_first_and_each_is_explained(bleen: Bleen, repository: Path) -> None:
    """By its id, or by its service for the last."""
    bleen("deploy", "hello")
    write_service(repository, version="2.0.0")
    bleen("deploy", "hello")
    assert [r["id"] for r in bleen("history", "hello", "--json").json["rollouts"]] == ["dev/hello/2", "dev/hello/1"]
    last = bleen("explain", "hello").out
    assert last.startswith("dev/hello/2  r1 -> r2 2.0.0")
    assert last == bleen("explain", "dev/hello/2").out == bleen("explain", "hello/2").out
    assert "why r2 is ready for 100 % of the traffic" in last


@pytest.mark.usefixtures("estate")
def test_nothing_is_wider_than_the_terminal(bleen: Bleen, repository: Path) -> None:
    """80 columns hold every view."""
    bleen("deploy", "hello")
    write_service(repository, version="2.0.0-with-a-rather-long-name-of-a-version", more=ASKING)
    bleen("deploy", "hello", "--detach")
    views = [("status",), ("status", "hello"), ("history", "hello"), ("explain", "hello"), ("instances", "hello")]
    views += [("image", "list"), ("doctor",), ("deploy", "hello", "--dry-run"), ("--help",), ("deploy", "--help")]
    for words in views:
        typed = bleen(*words)
        assert typed.code == 0
        assert [line for line in typed.out.splitlines() if len(line) > 80] == []
