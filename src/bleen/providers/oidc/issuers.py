"""The port `Issuers` over OpenID Connect: code flow with PKCE, device flow, and tokens that programs send."""

import base64
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from bleen.domain.errors import Forbidden, InvalidInput, NotFound
from bleen.domain.issuer import Access, Claims, DeviceErrand, Errand, Issuer, SignInClient
from bleen.providers.oidc.metadata import Metadata, Remote, object_in
from bleen.providers.oidc.tokens import Wanted, peek, read_token

_DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


class _Device(msgspec.Struct, frozen=True):
    """What a device authorization endpoint answers (RFC 8628, section 3.2)."""

    device_code: str
    user_code: str
    verification_uri: str
    expires_in: int
    verification_uri_complete: str = ""
    interval: int = 5


class OidcIssuers:
    """The issuers of an access file."""

    def __init__(
        self, access: Access, *, now: Callable[[], float] = time.time, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._issuers = {issuer.issuer: issuer for issuer in access.issuers}
        self._remotes = {name: Remote(name, clock) for name in self._issuers}
        self._door = access.door
        self._now = now

    async def begin(self, redirect: str) -> Errand:
        """See `bleen.ports.Issuers`."""
        issuer, client = self._way_in()
        found = await self._remotes[issuer.issuer].metadata()
        if not found.authorization_endpoint or not found.token_endpoint:
            raise NotFound(f"{issuer.title} signs nobody in", why="it publishes no address for that", next="bleen console")
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        query = {
            "response_type": "code",
            "client_id": client.client,
            "redirect_uri": redirect,
            "scope": " ".join(client.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in found.authorization_endpoint else "?"
        return Errand(f"{found.authorization_endpoint}{joint}{urlencode(query)}", redirect, state, nonce, verifier)

    async def finish(self, errand: Errand, code: str) -> Claims:
        """See `bleen.ports.Issuers`."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": errand.redirect,
            "code_verifier": errand.verifier,
        }
        told = await self._token(form)
        if "error" in told:
            raise InvalidInput("the issuer does not know this sign-in", why=_told(told), next="sign in again")
        return await self._signed_in(told, errand.nonce)

    async def begin_device(self) -> DeviceErrand:
        """See `bleen.ports.Issuers`."""
        issuer, client = self._way_in()
        remote = self._remotes[issuer.issuer]
        found = await remote.metadata()
        if not found.device_authorization_endpoint:
            what = f"{issuer.title} signs no command line in"
            raise NotFound(
                what, why="it has no device flow", next="sign in at the console; or ask an admin: bleen token create"
            )
        form, headers = _credentials(client, found, {"scope": " ".join(client.scopes)})
        answer = await remote.ask("POST", found.device_authorization_endpoint, data=form, headers=headers)
        told = object_in(answer)
        if answer.is_error:
            next = "let its device flow be allowed for our client there"
            raise InvalidInput(f"{issuer.title} starts no sign-in", why=_told(told), next=next)
        return self._errand(told)

    def _errand(self, told: dict[str, Any]) -> DeviceErrand:
        try:
            device = msgspec.convert(told, _Device)
        except msgspec.ValidationError as error:
            raise InvalidInput("the issuer answered with no device to confirm", why=str(error)) from error
        return DeviceErrand(
            url=device.verification_uri,
            code=device.user_code,
            device=device.device_code,
            every=max(device.interval, 1),
            expires=datetime.fromtimestamp(self._now(), UTC) + timedelta(seconds=device.expires_in),
            whole_url=device.verification_uri_complete,
        )

    async def finish_device(self, errand: DeviceErrand) -> Claims | None:
        """See `bleen.ports.Issuers`."""
        told = await self._token({"grant_type": _DEVICE, "device_code": errand.device})
        match told.get("error"):
            case None:
                return await self._signed_in(told, "")
            case "authorization_pending" | "slow_down":
                return None
            case "access_denied":
                raise Forbidden("somebody said no to this sign-in", why=_told(told), next="bleen login")
            case _:
                raise InvalidInput("this sign-in counts no longer", why=_told(told), next="bleen login")

    async def read(self, token: str) -> Claims:
        """See `bleen.ports.Issuers`."""
        name, kid = peek(token)
        issuer = self._issuers.get(name)
        if issuer is None or not issuer.audience:
            why = "it is of an issuer whose tokens are not taken here"
            raise InvalidInput("the token does not count", why=why, next=_AUDIENCE)
        wanted = Wanted(name, issuer.audience, self._now())
        said = read_token(token, await self._remotes[name].keys(kid), wanted)
        return _claims(name, said)

    def _way_in(self) -> tuple[Issuer, SignInClient]:
        if self._door is None or self._door.sign_in is None:
            raise NotFound("nobody signs in here", why="no issuer of the access file has sign_in", next="bleen console")
        return self._door, self._door.sign_in

    async def _token(self, form: dict[str, str]) -> dict[str, Any]:
        issuer, client = self._way_in()
        remote = self._remotes[issuer.issuer]
        found = await remote.metadata()
        sent, headers = _credentials(client, found, form)
        return object_in(await remote.ask("POST", found.token_endpoint, data=sent, headers=headers))

    async def _signed_in(self, told: dict[str, Any], nonce: str) -> Claims:
        """Return who somebody is, by the tokens that their code was worth."""
        issuer, client = self._way_in()
        remote = self._remotes[issuer.issuer]
        token, access_token = told.get("id_token"), told.get("access_token")
        if not isinstance(token, str) or not isinstance(access_token, str):
            raise InvalidInput("the issuer sent no ID token", next="let openid be among the scopes")
        wanted = Wanted(issuer.issuer, client.client, self._now(), nonce, access_token, client.client)
        said = read_token(token, await remote.keys(peek(token)[1]), wanted)
        return _claims(issuer.issuer, await self._more(remote, said, access_token))

    async def _more(self, remote: Remote, said: dict[str, Any], access_token: str) -> dict[str, Any]:
        """Return what the ID token says and, below it, what only the userinfo endpoint does (Core 1.0, section 5.4)."""
        url = (await remote.metadata()).userinfo_endpoint
        if not url:
            return said
        answer = await remote.ask("GET", url, headers={"authorization": f"Bearer {access_token}"})
        if answer.is_error or not answer.headers.get("content-type", "").startswith("application/json"):
            return said
        more = object_in(answer)
        if more.get("sub") != said["sub"]:
            raise InvalidInput("the issuer speaks of somebody else than it signed for", next="sign in again")
        return more | said


_AUDIENCE = "name the issuer in the access file, with an audience"


def _claims(issuer: str, said: dict[str, Any]) -> Claims:
    if not said["sub"]:
        raise InvalidInput("the token does not count", why="it speaks for nobody", next="get a new one of the issuer")
    return Claims(issuer, said["sub"], said)


def _credentials(client: SignInClient, found: Metadata, form: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return ``form`` and headers as a client shows who it is (RFC 6749, section 2.3.1)."""
    sent = form | {"client_id": client.client}
    if not client.secret_file:
        return sent, {}
    secret = _secret(Path(client.secret_file))
    if "client_secret_basic" in found.token_endpoint_auth_methods_supported:
        pair = f"{quote(client.client, safe='')}:{quote(secret, safe='')}"
        return form, {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return sent | {"client_secret": secret}, {}


def _secret(path: Path) -> str:
    """Return what the file has: read each time, so that it can be changed without a restart."""
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise NotFound("the client's secret cannot be read", why=f"{path}: {why}", next="sign_in.secret_file") from error


def _told(told: dict[str, Any]) -> str:
    """Return what an issuer says of a refusal, which goes into a message of ours."""
    return str(told.get("error_description") or told.get("error") or "")[:200]
