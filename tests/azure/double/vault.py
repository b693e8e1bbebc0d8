"""One Key Vault, as far as its secrets are read.

From Microsoft's *Get Secret* and *Authentication, requests and responses*: who comes without a token is told by a challenge
for what to bring one; names are not told apart by case.
"""

from aiohttp import web


class Vault:
    """It answers over TLS alone, and counts who asks."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self.closed = False
        """Whether the identity that asks has no role."""
        self.asked = 0
        self.resource = ""
        """For what it asks a token; empty: for the domain that it is in, against which a client holds the vault's own name."""

    def answer(self, request: web.Request, rest: str, token: str) -> web.Response:
        """GET NAME/ or NAME/VERSION."""
        name = rest.partition("/")[0].lower()
        if request.headers.get("Authorization") != f"Bearer {token}":
            resource = self.resource or f"https://{request.host.partition('.')[2]}"
            challenge = f'Bearer authorization="https://login.microsoftonline.com/nobody", resource="{resource}"'
            return _error(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.", challenge)
        self.asked += 1
        if self.closed:
            return _error(
                403, "Forbidden", "Caller is not authorized to perform action on resource.\r\nPlease wait several minutes."
            )
        found = {key.lower(): value for key, value in self.secrets.items()}.get(name)
        if found is None:
            return _error(404, "SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault.")
        url = f"{request.scheme}://{request.host}/secrets/{name}/1"
        return web.json_response({"value": found, "id": url, "attributes": {"enabled": True, "created": 1, "updated": 1}})


def _error(status: int, code: str, message: str, challenge: str = "") -> web.Response:
    headers = {"WWW-Authenticate": challenge} if challenge else {}
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers=headers)
