"""Tokens that somebody forged: an issuer of our own, over real HTTP, that signs whatever a test wants, in any way."""

import asyncio
import base64
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from bleen.domain.access import Role
from bleen.domain.errors import BleenError, InvalidInput, NotFound, Unreachable
from bleen.domain.issuer import Access, Errand, Issuer, RoleRule, SignInClient
from bleen.providers.oidc import OidcIssuers
from bleen.providers.oidc.metadata import PATIENCE

US = "https://bleen.example.org"
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
EC = ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed", "use": "sig"})
STRANGER = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})


class Forger:
    """Answers as an issuer does, with what a test puts in its answers."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []

    def __enter__(self) -> "Forger":
        forger = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                forger.asked.append(self.path)
                found = forger.answers.get(self.path)
                body = found if isinstance(found, bytes) else json.dumps(found).encode()
                self.send_response(404 if found is None else 200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                self.do_GET()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.publish(RSA, EC, ED)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def publish(self, *keys: Any) -> None:
        """Publish the public halves of ``keys``."""
        self.answers["/jwks"] = KeySet(list(keys)).as_dict(private=False)
        names = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")
        places = {name: f"{self.issuer}/{name}" for name in names}
        self.answers["/.well-known/openid-configuration"] = {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks"} | places

    def claims(self, **other: Any) -> dict[str, Any]:
        """Return what a good token says, but for ``other``; None leaves a claim out."""
        now = int(time.time())
        good = {"iss": self.issuer, "aud": US, "sub": "shop", "iat": now, "nbf": now, "exp": now + 3600} | other
        return {name: value for name, value in good.items() if value is not None}

    def sign(self, header: dict[str, Any] | None = None, key: Any = RSA, **other: Any) -> str:
        """Return a token that ``key`` signed."""
        head = {"alg": "RS256", "kid": "rsa"} | (header or {})
        return jwt.encode(head, self.claims(**other), key, algorithms=[head["alg"]])


@pytest.fixture
def forger() -> Iterator[Forger]:
    """An issuer that does as it is told."""
    with Forger() as found:
        yield found


def believing(forger: Forger, **other: Any) -> OidcIssuers:
    """Return issuers that believe ``forger``."""
    rule = RoleRule({"dev": Role.VIEWER}, {"sub": ("shop",)})
    return OidcIssuers(Access((Issuer(forger.issuer, (rule,), audience=US, sign_in=SignInClient("bleen")),)), **other)


async def refused(forger: Forger, token: str) -> str:
    """Return why ``token`` counts for nothing."""
    with pytest.raises(InvalidInput) as caught:
        await believing(forger).read(token)
    return caught.value.why


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # by name: issuers that sign with Ed25519 still call it that
@pytest.mark.parametrize(("alg", "key"), [("RS256", RSA), ("PS256", RSA), ("ES256", EC), ("EdDSA", ED)])
async def test_a_good_token_is_believed(forger: Forger, alg: str, key: Any) -> None:
    """However it is signed, as long as it takes a private key."""
    claims = await believing(forger).read(forger.sign({"alg": alg, "kid": key.kid}, key))
    assert (claims.issuer, claims.subject) == (forger.issuer, "shop")


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no issuer": ({"iss": None}, ""),
    "another audience": ({"aud": "https://other.example.org"}, "another audience"),
    "others among the audience": ({"aud": ["https://a.example.org", "https://b.example.org"]}, "another audience"),
    "no audience": ({"aud": None}, "lacks aud"),
    "an empty audience": ({"aud": []}, "another audience"),
    "expired": ({"exp": 1_000_000_000}, "expired"),
    "no end": ({"exp": None}, "lacks exp"),
    "an end that is no number": ({"exp": "tomorrow"}, "exp is wrong"),
    "an end that is not yet a number": ({"exp": True}, "exp is wrong"),
    "not yet": ({"nbf": 4_000_000_000}, "not count yet"),
    "of the future": ({"iat": 4_000_000_000}, "future"),
    "no subject": ({"sub": None}, "lacks sub"),
    "an empty subject": ({"sub": ""}, ""),
    "a subject that is a list": ({"sub": ["shop"]}, "sub is wrong"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_claim_is_refused(forger: Forger, name: str) -> None:
    """Though the signature is good; it says why, and never what would be right."""
    other, why = WRONG[name]
    told = await refused(forger, forger.sign(**other))
    assert why in told and US not in told


async def test_an_issuer_that_is_not_in_the_file_is_not_even_asked(forger: Forger) -> None:
    """A token cannot make the controller fetch anything from anywhere."""
    with Forger() as other:
        assert "not taken here" in await refused(forger, other.sign())
        assert (forger.asked, other.asked) == ([], [])


async def test_a_token_in_the_name_of_the_issuer_that_somebody_else_signed_is_refused(forger: Forger) -> None:
    """Another key under the id of a known one, a key of nobody, and a key that the token itself brings along."""
    assert "signature is wrong" in await refused(forger, forger.sign(key=STRANGER))
    assert "does not publish" in await refused(forger, forger.sign({"kid": "nobody"}, STRANGER))
    brought = forger.sign({"jwk": STRANGER.as_dict(private=False)}, STRANGER)
    assert await refused(forger, brought)


def unsigned(forger: Forger, alg: str) -> str:
    """Return a token without a signature."""
    parts = [json.dumps(part).encode() for part in ({"alg": alg, "kid": "rsa"}, forger.claims())]
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), ""])


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", ""])
async def test_a_token_that_nobody_signed_is_refused(forger: Forger, alg: str) -> None:
    """However it spells that."""
    assert await refused(forger, unsigned(forger, alg))


async def test_the_public_key_is_no_password(forger: Forger) -> None:
    """Signed with HS256, whose secret would be the key that everybody can read."""
    head, body = unsigned(forger, "HS256").split(".")[:2]
    for secret in (RSA.as_pem(private=False), RSA.as_der(private=False), json.dumps(RSA.as_dict(private=False)).encode()):
        signature = hmac.digest(secret, f"{head}.{body}".encode(), "sha256")
        token = f"{head}.{body}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
        assert "not accepted" in await refused(forger, token)


async def test_a_signature_of_another_kind_than_the_key_is_refused(forger: Forger) -> None:
    """An elliptic curve's, under the id of the RSA key."""
    assert await refused(forger, forger.sign({"alg": "ES256", "kid": "rsa"}, EC))


@pytest.mark.parametrize("kind", ["logout+jwt", "secevent+jwt", "dpop+jwt"])
async def test_what_is_no_token_of_access_is_refused(forger: Forger, kind: str) -> None:
    """The issuer signs other things, too, with the same keys."""
    assert kind in await refused(forger, forger.sign({"typ": kind}))


async def test_a_header_that_must_be_understood_is_not_passed_over(forger: Forger) -> None:
    """RFC 7515, section 4.1.11."""
    assert await refused(forger, _critical(forger))


def _critical(forger: Forger) -> str:
    good = forger.sign().split(".")
    head = json.dumps({"alg": "RS256", "kid": "rsa", "crit": ["x"], "x": 1}).encode()
    return ".".join([base64.urlsafe_b64encode(head).decode().rstrip("="), *good[1:]])


async def test_a_body_that_was_changed_is_refused(forger: Forger) -> None:
    """Its signature was of another one."""
    head, _, signature = forger.sign().split(".")
    body = base64.urlsafe_b64encode(json.dumps(forger.claims(sub="root")).encode()).decode().rstrip("=")
    assert "signature is wrong" in await refused(forger, f"{head}.{body}.{signature}")


async def test_made_up_keys_do_not_wear_the_issuer_out(forger: Forger) -> None:
    """A key that is not known is looked for at most once in a while."""
    issuers = believing(forger, clock=(clock := Clock()))
    for _ in range(20):
        with pytest.raises(InvalidInput):
            await issuers.read(forger.sign({"kid": "nobody"}, STRANGER))
    assert forger.asked.count("/jwks") == 1
    clock.now += PATIENCE + 1
    forger.publish(RSA, RSAKey.import_key(STRANGER.as_dict(private=False) | {"kid": "nobody"}))
    await issuers.read(forger.sign({"kid": "nobody"}, STRANGER))
    assert forger.asked.count("/jwks") == 2


class Clock:
    """Seconds, as a test says."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_an_issuer_that_only_signs_tokens_signs_nobody_in(forger: Forger) -> None:
    """As those of machines do: they publish keys, and nothing to send a browser to."""
    forger.answers["/.well-known/openid-configuration"] = {"issuer": forger.issuer, "jwks_uri": f"{forger.issuer}/jwks"}
    await believing(forger).read(forger.sign())
    with pytest.raises(NotFound, match="signs nobody in"):
        await believing(forger).begin(f"{US}/back")


@pytest.mark.parametrize("keys", [b"", b"[]", b"{}", b'{"keys":{}}', b'{"keys":[]}', b'{"keys":[{"kty":"RSA"}]}', b"\xff"])
async def test_keys_that_cannot_be_read_are_the_issuers_fault(forger: Forger, keys: bytes) -> None:
    """Trying again may help; nobody is let in meanwhile."""
    forger.answers["/jwks"] = keys
    with pytest.raises(Unreachable):
        await believing(forger).read(forger.sign())


# ---- what a sign-in comes back with ----


async def come_back(forger: Forger, told: Callable[[Errand], Any], **userinfo: Any) -> Any:
    """Return what a sign-in comes to where the token endpoint answers ``told``."""
    issuers = believing(forger)
    errand = await issuers.begin(f"{US}/back")
    forger.answers["/token_endpoint"] = told(errand)
    forger.answers["/userinfo_endpoint"] = {"sub": "u-1"} | userinfo
    return await issuers.finish(errand, "a code")


def handed(forger: Forger, **other: Any) -> Callable[[Errand], Any]:
    """Return what hands out an ID token that is good but for ``other``."""

    def told(errand: Errand) -> Any:
        good = {"aud": "bleen", "sub": "u-1", "nonce": errand.nonce}
        return {"access_token": "a", "token_type": "Bearer", "id_token": forger.sign(**good | other)}

    return told


async def test_a_good_answer_signs_in(forger: Forger) -> None:
    """With what the userinfo endpoint adds; what was signed counts where they differ."""
    claims = await come_back(forger, handed(forger, groups=["a"]), groups=["b"], email="ada@example.org")
    assert (claims.subject, claims.said["groups"], claims.said["email"]) == ("u-1", ["a"], "ada@example.org")


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "lacks nonce"),
        ({"aud": US}, "another audience"),
        ({"aud": ["bleen", "other"]}, "lacks azp"),
        ({"aud": ["bleen", "other"], "azp": "other"}, "another client"),
        ({"iss": "https://other.example.org"}, "another issuer"),
        ({"exp": 1_000_000_000}, "expired"),
        ({"iat": None}, "lacks iat"),
        ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "another access token"),
    ],
)
async def test_an_id_token_that_is_not_for_this_sign_in_is_refused(forger: Forger, other: dict[str, Any], why: str) -> None:
    """Whoever holds it."""
    with pytest.raises(InvalidInput) as caught:
        await come_back(forger, handed(forger, **other))
    assert why in caught.value.why


async def test_userinfo_of_somebody_else_is_refused(forger: Forger) -> None:
    """Core 1.0, section 5.3.2: its subject must be the one that was signed."""
    with pytest.raises(InvalidInput, match="somebody else"):
        await come_back(forger, handed(forger), sub="u-2")


@pytest.mark.parametrize(
    "told", [{}, {"error": "invalid_grant"}, {"id_token": 1, "access_token": "a"}, [], "x", {"id_token": "x"}]
)
async def test_an_answer_without_an_id_token_signs_nobody_in(forger: Forger, told: Any) -> None:
    """Whatever it is instead."""
    with pytest.raises(InvalidInput):
        await come_back(forger, lambda _: told)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
CLAIMS = st.dictionaries(st.sampled_from(["iss", "aud", "sub", "exp", "nbf", "iat", "azp", "jti", "groups"]), JSON, max_size=5)
HEADS = st.fixed_dictionaries(
    {}, optional={"alg": JSON | st.just("RS256"), "kid": JSON, "typ": JSON, "crit": JSON, "b64": JSON}
)


@settings(max_examples=300)
@given(data=st.data())
def test_no_token_whatsoever_is_more_than_refused(data: st.DataObject) -> None:
    """Any text, any header, any body: a refusal of ours, and no other error."""
    text = data.draw(st.text(max_size=60) | st.binary(max_size=60).map(lambda b: b.decode("latin1")) | st.none())
    if text is None:
        head, body = (json.dumps(data.draw(kind)).encode() for kind in (HEADS, CLAIMS | st.just({"iss": SHARED.issuer})))
        text = ".".join([base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (head, body, b"signature")])
    with pytest.raises(InvalidInput):
        asyncio.run(BELIEVING.read(text))


@settings(max_examples=200)
@given(claims=CLAIMS)
def test_whatever_an_issuer_signs_is_read_or_refused(claims: dict[str, Any]) -> None:
    """Its own claims may be of any kind."""
    body = {"iss": SHARED.issuer} | claims
    token = jwt.encode({"alg": "ES256", "kid": "ec"}, body, EC, algorithms=["ES256"])
    try:
        asyncio.run(BELIEVING.read(token))
    except BleenError:
        return
    assert body["sub"]


SHARED = Forger().__enter__()
"""For properties: lives as long as the process."""
BELIEVING = believing(SHARED)
