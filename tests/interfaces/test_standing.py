"""Two people who decide at the same time: a write counts only while the service is as whoever asks has seen it."""

import httpx
import pytest
from msgspec import json

from bleen.domain.command import Advance, Pause
from bleen.domain.errors import Moved
from bleen.domain.service import BlueGreen
from bleen.interfaces.client import Client
from bleen.interfaces.problem import MEDIA_TYPE, ProblemDetails, error_of
from bleen.interfaces.views import ScaleOrder
from tests.interfaces.estate import TOKEN, Estate
from tests.interfaces.test_api import request, until

HEADERS = {"authorization": f"Bearer {TOKEN}"}
PATH = "/v1/services/hello"


def tag(estate: Estate) -> str:
    """Return the ETag of where hello stands."""
    answer = httpx.get(f"{estate.address}{PATH}/standing", headers=HEADERS)
    assert answer.status_code == 200, answer.text
    return str(answer.headers["etag"])


def write(estate: Estate, verb: str, body: dict[str, object], if_match: str) -> httpx.Response:
    """Ask for a write that counts only at ``if_match``."""
    return httpx.post(f"{estate.address}{PATH}/{verb}", json=body, headers=HEADERS | {"if-match": if_match})


def asking(client: Client) -> None:
    """Deploy something that waits for a person."""
    client.deploy(request())
    until(client, lambda v: v.progress is None and bool(v.history))
    client.deploy(request("2", strategy=BlueGreen(auto_promote=False)))
    until(client, lambda v: v.progress is not None and type(v.progress.decision).__name__ == "AskHuman")


def test_a_tag_is_the_same_while_nothing_moves(estate: Estate, client: Client) -> None:
    """A second later, too: nothing in it changes by itself. The console is told the same one."""
    asking(client)
    first = tag(estate)
    assert first.startswith('"') and first == tag(estate)
    assert httpx.get(f"{estate.address}{PATH}/live", headers=HEADERS).json()["etag"] == first


def test_two_who_scale_at_once(estate: Estate, client: Client) -> None:
    """The second one is told, and nothing is done for them; once they have looked again, it is."""
    client.deploy(request())
    until(client, lambda v: v.progress is None and bool(v.history))
    seen = tag(estate)
    assert write(estate, "scale", {"by": "ada", "size": 3}, seen).status_code == 200
    refused = write(estate, "scale", {"by": "bob", "size": 2}, seen)
    assert (refused.status_code, refused.headers["content-type"]) == (412, MEDIA_TYPE)
    assert "moved on" in refused.json()["what"] and refused.json()["why"] and refused.json()["next"]
    assert [fleet.size for fleet in client.service("dev", "hello").fleets] == [3]
    assert write(estate, "scale", {"by": "bob", "size": 2}, tag(estate)).status_code == 200


def test_a_yes_is_to_what_was_looked_at(estate: Estate, client: Client) -> None:
    """A release that came since is not approved by it."""
    asking(client)
    seen = tag(estate)
    client.command("dev", "hello", Pause("bob"))
    refused = write(estate, "commands", {"type": "promote", "by": "ada"}, seen)
    assert refused.status_code == 412 and "step" in refused.json()["why"]
    with pytest.raises(Moved):
        raise error_of_answer(refused)
    assert client.service("dev", "hello").progress is not None


def error_of_answer(answer: httpx.Response) -> Exception:
    """Return the error as a client raises it."""
    return error_of(json.decode(answer.content, type=ProblemDetails))


@pytest.mark.parametrize(
    ("form", "status"),
    [("{tag}", 200), ('"0", {tag}', 200), ("*", 200), ('"0"', 412), ("W/{tag}", 412), ("bare", 400), ('"', 400)],
)
def test_what_if_match_may_say(estate: Estate, client: Client, form: str, status: int) -> None:
    """RFC 9110, section 13.1.1: a list, a star; a weak tag never matches."""
    asking(client)
    answer = write(estate, "commands", {"type": "pause", "by": "ada"}, form.replace("{tag}", tag(estate)))
    assert (answer.status_code, answer.headers["content-type"] == MEDIA_TYPE) == (status, status != 200), answer.text


def test_who_says_nothing_is_not_held_up(estate: Estate, client: Client) -> None:
    """As before."""
    asking(client)
    client.command("dev", "hello", Pause("ada"))
    client.command("dev", "hello", Advance("ada"))
    assert client.scale("dev", "hello", ScaleOrder("ada", 3))


def test_going_back_counts_the_same(estate: Estate, client: Client) -> None:
    """Two people who roll back at once go back once."""
    asking(client)
    seen = tag(estate)
    assert write(estate, "rollback", {"by": "ada"}, '"0"').status_code == 412
    assert write(estate, "rollback", {"by": "ada"}, seen).status_code == 200
