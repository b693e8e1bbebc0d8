"""The API on a real port, over the memory providers."""

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from bleen.domain.command import Advance, Pause, Resume
from bleen.domain.duration import seconds
from bleen.domain.errors import BleenError, InvalidInput, NotFound, NothingToDo, Unreachable
from bleen.domain.image import Directory
from bleen.domain.release import Runtime, SecretRef
from bleen.domain.rollout import Promoted, RolledBack
from bleen.domain.service import BlueGreen, Service
from bleen.interfaces.client import Client
from bleen.interfaces.platform import Server
from bleen.interfaces.problem import MEDIA_TYPE
from bleen.interfaces.views import GoBackOrder, RetryOrder, Returning, ServiceView
from bleen.workflows.messages import DeployRequest, Refused, Started, Unchanged
from tests.interfaces.estate import TOKEN, Estate

COMMAND = ("{app}/serve",)


def request(version: str = "1", **more: object) -> DeployRequest:
    """Return a request to deploy ``hello``; versions differ in their configuration."""
    spec = Service(service="hello", image=Directory(path=".", version=version), command=COMMAND, **more)  # type: ignore[arg-type]
    runtime = Runtime(command=COMMAND, env={"VERSION": version, "KEY": SecretRef("KEY")})
    return DeployRequest("dev", spec, runtime, str(Path(__file__).parent / "app"), "tester")


def until(client: Client, is_so: Callable[[ServiceView], bool]) -> ServiceView:
    """Return the service once ``is_so``."""
    deadline = time.monotonic() + 10
    while not is_so(view := client.service("dev", "hello")):
        assert time.monotonic() < deadline, view
        time.sleep(0.01)
    return view


def settled(view: ServiceView) -> bool:
    """Return whether the last rollout has an outcome."""
    return view.history[0].outcome is not None


# ---- the door ----


def ask(estate: Estate, path: str, **headers: str) -> httpx.Response:
    """Ask without a client's manners."""
    return httpx.get(estate.address + path, headers=headers)


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Basic " + TOKEN, TOKEN])
@pytest.mark.parametrize("path", ["/v1/services", "/v1/platform", "/schema/openapi.json"])
def test_without_the_token_nothing_is_told(estate: Estate, path: str, header: str) -> None:
    """401, as a problem that says what to send."""
    answer = ask(estate, path, **({"authorization": header} if header else {}))
    assert answer.status_code == 401
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert "Bearer" in answer.json()["next"]


@pytest.mark.parametrize(("path", "word"), [("/healthz", "ok"), ("/readyz", "ready")])
def test_whether_it_lives_needs_no_token(estate: Estate, path: str, word: str) -> None:
    """A watchdog asks without secrets."""
    assert ask(estate, path).text == word


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8070", "127.0.0.1.evil.example", "hello.localhost", "", "[::1"])
def test_a_rebound_name_is_refused(estate: Estate, host: str) -> None:
    """403 for any Host but this machine's own names, token or not."""
    answer = ask(estate, "/v1/services", host=host, authorization=f"Bearer {TOKEN}")
    assert answer.status_code in (400, 403)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "localhost:8070", "[::1]:8070"])
def test_the_names_of_this_machine_are_accepted(estate: Estate, host: str) -> None:
    """With any port."""
    assert ask(estate, "/v1/services", host=host, authorization=f"Bearer {TOKEN}").status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "http://hello.localhost:8080", "null", "http://127.0.0.1:1"])
def test_a_page_of_elsewhere_is_refused(estate: Estate, origin: str) -> None:
    """403, and its own services count as elsewhere."""
    assert ask(estate, "/v1/services", origin=origin, authorization=f"Bearer {TOKEN}").status_code == 403


def test_a_page_of_its_own_is_accepted(estate: Estate) -> None:
    """The console comes from the same server."""
    assert ask(estate, "/v1/services", origin=estate.address, authorization=f"Bearer {TOKEN}").status_code == 200


# ---- the shape ----


def test_it_describes_itself(estate: Estate) -> None:
    """OpenAPI 3.1, with every path of ours."""
    schema = ask(estate, "/schema/openapi.json", authorization=f"Bearer {TOKEN}").json()
    assert schema["openapi"].startswith("3.1")
    assert {"/v1/services", "/v1/services/{service}", "/v1/deployments", "/v1/dry-runs"} <= set(schema["paths"])


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/nothing", None, 404),
        ("DELETE", "/v1/services", None, 405),
        ("POST", "/v1/deployments", {"nonsense": 1}, 400),
        ("POST", "/v1/services/hello/commands", {"type": "explode"}, 400),
        ("POST", "/v1/services/hello/commands", {"type": "pause", "by": "me", "extra": 1}, 400),
        ("POST", "/v1/services/hello/rollback", {"by": "me", "to": "r1"}, 400),
        ("GET", "/v1/services/hello/history?limit=0", None, 400),
        ("GET", "/v1/rollouts/dev/hello/x/explanation", None, 404),
    ],
)
def test_a_wrong_request_is_a_problem(estate: Estate, method: str, path: str, body: object, status: int) -> None:
    """Never a page of HTML, never a 500."""
    answer = httpx.request(method, estate.address + path, json=body, headers={"authorization": f"Bearer {TOKEN}"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE)
    assert answer.json()["error"] == "InvalidInput"


# ---- what it does ----


def test_a_deployment_serves(client: Client) -> None:
    """A first release is promoted, and the service says where it answers."""
    assert isinstance(client.deploy(request()), Started)
    view = until(client, settled)
    assert isinstance(view.history[0].outcome, Promoted)
    assert view.stable is not None and view.stable.number == 1
    assert view.state == "serving"
    assert view.urls.live == "http://hello.localhost:8080"
    assert view.urls.preview == "http://preview.hello.localhost:8080"
    assert view.urls.own == "http://127.0.0.1:8100"
    assert [g.route and g.route.blue for g in view.gateways] == [1]


def test_the_same_again_is_unchanged(client: Client) -> None:
    """The same image and configuration make no second release."""
    client.deploy(request())
    until(client, lambda v: v.progress is None)
    assert isinstance(client.deploy(request()), Unchanged)


def test_a_refused_deployment_is_a_value_with_its_error(client: Client, estate: Estate) -> None:
    """What could not be built comes back in the words of the builder."""
    estate.images.fail_build("9", why="there is no such version")
    refused = client.deploy(request("9"))
    assert isinstance(refused, Refused)
    assert refused.error == "BuildFailed"


def test_a_dry_run_changes_nothing(client: Client) -> None:
    """It lists the decisions; the ledger has no entry more."""
    client.deploy(request())
    before = until(client, lambda v: v.progress is None and v.history[0].finished is not None)
    dry = client.dry_run(request("2"))
    assert (dry.release, dry.unchanged) == ("r2", False)
    assert [type(d).__name__ for d in dry.decisions][:2] == ["Launch", "Shift"]
    assert client.dry_run(request()).unchanged
    after = client.service("dev", "hello")
    assert (after.history, after.fleets) == (before.history, before.fleets)


def test_a_rollback_in_the_warm_window_is_the_same_rollout_going_back(client: Client) -> None:
    """It returns the rollout, and the old release serves again."""
    client.deploy(request())
    until(client, lambda v: v.progress is None)
    client.deploy(request("2"))
    until(client, settled)
    result = client.rollback("dev", "hello", GoBackOrder("tester"))
    assert isinstance(result, Returning)
    view = until(client, lambda v: isinstance(v.history[0].outcome, RolledBack))
    assert view.stable is not None and view.stable.number == 1


def test_what_was_refused_can_be_retried_and_what_was_promoted_cannot(client: Client) -> None:
    """Retrying rolls the same release out again, with every check."""
    client.deploy(request())
    until(client, lambda v: v.progress is None)
    with pytest.raises(NothingToDo, match="promoted"):
        client.retry("dev", "hello", RetryOrder("tester"))
    client.deploy(request("2", strategy=BlueGreen(abort_delay=seconds(0))))
    until(client, settled)
    client.rollback("dev", "hello", GoBackOrder("tester"))
    until(client, lambda v: v.progress is None)
    retried = client.retry("dev", "hello", RetryOrder("tester"))
    assert isinstance(retried, Started) and retried.release.number == 2


def test_commands_reach_the_rollout_or_say_why_not(client: Client) -> None:
    """NothingToDo comes back as itself, with what to type."""
    with pytest.raises(NothingToDo) as caught:
        client.command("dev", "hello", Pause("tester"))
    assert caught.value.next == "bleen status hello"
    client.deploy(request())
    until(client, lambda v: v.progress is None)
    client.deploy(request("2", strategy=BlueGreen(auto_promote=False)))
    until(client, lambda v: v.progress is not None and type(v.progress.decision).__name__ == "AskHuman")
    assert client.command("dev", "hello", Pause("tester")).paused_by == "tester"
    assert client.command("dev", "hello", Resume("tester")).paused_since is None
    client.command("dev", "hello", Advance("tester"))
    until(client, settled)


def test_a_rollout_explains_itself(client: Client) -> None:
    """Every decision is there with its reason, its time and what was seen, oldest first."""
    client.deploy(request())
    until(client, lambda v: v.progress is None)
    explained = client.explain("dev/hello/1")
    assert explained == client.explain_last("dev", "hello")
    assert [line.kind for line in explained.lines][:2] == ["rollout-started", "launch"]
    decisions = [line for line in explained.lines if line.evidence is not None]
    assert decisions and all(line.why and line.what for line in decisions)
    assert [line.after for line in explained.lines] == sorted(line.after for line in explained.lines)


def test_logs_are_lines(client: Client) -> None:
    """Each is a value with its instance and time."""
    client.deploy(request())
    until(client, settled)
    lines = list(client.logs("hello"))
    assert {line.instance for line in lines} <= {"hello-blue-r1-1", "hello-blue-r1-2"}


def test_images_are_listed_and_shown(client: Client) -> None:
    """By their digest; one that is not there is NotFound."""
    client.deploy(request())
    image = client.images().images[0]
    assert client.image(image.digest).image == image
    with pytest.raises(NotFound):
        client.image("sha256:" + "0" * 64)


@pytest.mark.parametrize(
    "asked",
    [
        lambda c: c.service("dev", "nope"),
        lambda c: c.history("dev", "nope"),
        lambda c: c.explain("dev/nope/1"),
        lambda c: c.explain_last("dev", "nope"),
        lambda c: list(c.logs("nope")),
    ],
)
def test_what_is_not_there_is_not_found(client: Client, asked: Callable[[Client], object]) -> None:
    """With what to type instead."""
    with pytest.raises(NotFound) as caught:
        asked(client)
    assert caught.value.next


def test_a_silent_gateway_is_shown_as_silent(client: Client, estate: Estate) -> None:
    """What it routes is unknown, and the service says so."""
    client.deploy(request())
    until(client, lambda v: v.progress is None)
    estate.gateways.regions["local"].answers = False
    assert client.service("dev", "hello").state == "unknown"


def test_silent_machines_are_shown_as_silent(client: Client, estate: Estate) -> None:
    """The rest of the service is still told."""
    client.deploy(request())
    until(client, lambda v: v.progress is None)
    estate.fleets.answers = False
    view = client.service("dev", "hello")
    assert (view.state, view.silent, view.fleets) == ("unknown", ("machines",), ())
    assert view.stable is not None and view.stable.number == 1
    assert client.services("dev").services[0].silent == ("machines",)


def test_a_server_that_is_not_there_is_unreachable() -> None:
    """With how to start one."""
    with Client(Server("http://127.0.0.1:9", "t")) as client, pytest.raises(Unreachable) as caught:
        client.platform()
    assert "bleen up" in caught.value.next


def test_a_server_that_is_no_bleen_is_said_to_be_none() -> None:
    """Its answer is shown; nothing crashes."""
    transport = httpx.MockTransport(lambda _: httpx.Response(502, text="<html>bad gateway</html>"))
    with Client(Server("http://other", "t"), transport=transport) as client, pytest.raises(BleenError, match="502"):
        client.platform()


def test_a_wrong_token_is_a_usage_error(estate: Estate) -> None:
    """It names the file where the right one is."""
    with Client(Server(estate.address, "wrong")) as client, pytest.raises(InvalidInput) as caught:
        client.platform()
    assert "token" in caught.value.next
