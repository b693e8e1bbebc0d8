"""The API from the other side: one method per question, domain values in and out, our own errors raised."""

from collections.abc import Iterator
from types import TracebackType
from typing import Any, TypeVar

import msgspec

from bleen.domain.codec import decode, encode
from bleen.domain.command import Command
from bleen.domain.errors import BleenError, Unreachable
from bleen.domain.fleet import LogLine
from bleen.domain.inventory import BillFormat
from bleen.domain.provenance import Provenance
from bleen.domain.rollout import Rollout
from bleen.interfaces.platform import Server
from bleen.interfaces.problem import ProblemDetails, error_of
from bleen.interfaces.views import (
    ActiveRollouts,
    DryRun,
    Explanation,
    GoBackOrder,
    HistoryView,
    ImageList,
    ImageView,
    PlatformView,
    RetryOrder,
    RollbackResult,
    ScaleOrder,
    ScanOrder,
    ScanView,
    ServiceList,
    ServiceView,
)
from bleen.providers.transport import httpx
from bleen.workflows.messages import DeployRequest, DeployResult, ScaleResult

T = TypeVar("T")
_QUICK = httpx.Timeout(10.0, connect=2.0)
_BUILDING = httpx.Timeout(1800.0, connect=2.0)


class Client:
    """Speaks to one server. Every method raises what the server raised, or Unreachable."""

    def __init__(self, server: Server, *, transport: httpx.BaseTransport | None = None) -> None:
        self.server = server
        headers = {"authorization": f"Bearer {server.token}", "accept": "application/json"}
        secure = server.address.startswith("https:")  # certificates take 30 ms to load
        self._http = httpx.Client(
            base_url=server.address, headers=headers, timeout=_QUICK, transport=transport, trust_env=False, verify=secure
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()

    def platform(self) -> PlatformView:
        """Return the platform and its parts."""
        return self._get("/v1/platform", PlatformView)

    def services(self, environment: str) -> ServiceList:
        """Return every service of ``environment``."""
        return self._get("/v1/services", ServiceList, environment=environment)

    def service(self, environment: str, service: str) -> ServiceView:
        """Return one service as it is seen now."""
        return self._get(f"/v1/services/{service}", ServiceView, environment=environment)

    def history(self, environment: str, service: str, limit: int = 20) -> HistoryView:
        """Return the latest rollouts, newest first."""
        return self._get(f"/v1/services/{service}/history", HistoryView, environment=environment, limit=limit)

    def explain(self, rollout: str) -> Explanation:
        """Return why ``rollout``, ``dev/hello/7``, went as it did."""
        return self._get(f"/v1/rollouts/{rollout}/explanation", Explanation)

    def explain_last(self, environment: str, service: str) -> Explanation:
        """Return why the last rollout of ``service`` went as it did."""
        return self._get(f"/v1/services/{service}/explanation", Explanation, environment=environment)

    def deploy(self, request: DeployRequest) -> DeployResult:
        """Make a release and roll it out; returns when it is on its way, which takes as long as its image."""
        return self._post("/v1/deployments", request, DeployResult, timeout=_BUILDING)

    def dry_run(self, request: DeployRequest) -> DryRun:
        """Return what `deploy` would do."""
        return self._post("/v1/dry-runs", request, DryRun, timeout=_BUILDING)

    def command(self, environment: str, service: str, command: Command) -> Rollout:
        """Tell the rollout under way something."""
        return self._post(f"/v1/services/{service}/commands", command, Rollout, environment=environment)

    def rollback(self, environment: str, service: str, order: GoBackOrder) -> RollbackResult:
        """Go back."""
        return self._post(f"/v1/services/{service}/rollback", order, RollbackResult, environment=environment)

    def retry(self, environment: str, service: str, order: RetryOrder) -> RollbackResult:
        """Roll the last release out again, which did not make it."""
        return self._post(f"/v1/services/{service}/retry", order, RollbackResult, environment=environment)

    def scale(self, environment: str, service: str, order: ScaleOrder) -> ScaleResult:
        """Change the number of instances."""
        return self._post(f"/v1/services/{service}/scale", order, ScaleResult, environment=environment)

    def rollouts(self) -> ActiveRollouts:
        """Return every rollout under way, in every environment, warm times included."""
        return self._get("/v1/rollouts", ActiveRollouts)

    def images(self) -> ImageList:
        """Return every image, newest first."""
        return self._get("/v1/images", ImageList)

    def image(self, digest: str) -> ImageView:
        """Return one image and its files."""
        return self._get(f"/v1/images/{digest}", ImageView)

    def provenance(self, digest: str) -> Provenance:
        """Return what is signed of an image, every byte of it read; raises why it may not start."""
        return self._get(f"/v1/images/{digest}/provenance", Provenance, _BUILDING)

    def bill(self, digest: str, form: BillFormat) -> str:
        """Return the bill of materials of an image, as its format has it."""
        return self._request("GET", f"/v1/images/{digest}/bill", params=_query(form=form), timeout=_BUILDING).decode()

    def scan(self, digest: str, order: ScanOrder) -> ScanView:
        """Return what is wrong with an image, and what a policy says of it."""
        return self._post(f"/v1/images/{digest}/scan", order, ScanView, timeout=_BUILDING)

    def logs(self, service: str, *, instance: str = "", lines: int = 100, follow: bool = False) -> Iterator[LogLine]:
        """Yield the last ``lines`` lines of each instance, then new ones while ``follow``."""
        query = _query(instance=instance, lines=lines, follow=follow)
        timeout = httpx.Timeout(10.0, read=None) if follow else _QUICK
        try:
            with self._http.stream("GET", f"/v1/services/{service}/logs", params=query, timeout=timeout) as answer:
                if answer.is_error:
                    raise _refusal(answer.status_code, answer.read())
                for line in answer.iter_lines():
                    yield decode(line, LogLine)
        except httpx.TransportError as error:
            raise self._silent(error) from error

    def _get(self, path: str, kind: type[T] | Any, timeout: httpx.Timeout = _QUICK, **query: str | int | bool) -> T:
        view: T = self._ask("GET", path, kind, params=_query(**query), timeout=timeout)
        return view

    def _post(self, path: str, body: object, kind: type[T] | Any, timeout: httpx.Timeout = _QUICK, **query: str) -> T:
        headers = {"content-type": "application/json"}
        options = {"params": _query(**query), "content": encode(body), "headers": headers, "timeout": timeout}
        result: T = self._ask("POST", path, kind, **options)
        return result

    def _ask(self, method: str, path: str, kind: type[T] | Any, **options: Any) -> T:
        content: T = _read(self._request(method, path, **options), kind)
        return content

    def _request(self, method: str, path: str, **options: Any) -> bytes:
        try:
            answer = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise self._silent(error) from error
        if answer.is_error:
            raise _refusal(answer.status_code, answer.content)
        return answer.content

    def _silent(self, error: httpx.TransportError) -> Unreachable:
        why = str(error) or type(error).__name__
        return Unreachable(
            f"{self.server.address} does not answer", why=why, next="bleen doctor says what runs; bleen up starts it"
        )


def _query(**query: str | int | bool) -> dict[str, str]:
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in query.items() if value != ""}


def _read(content: bytes, kind: type[T] | Any) -> T:
    try:
        value: T = decode(content, kind)
    except msgspec.MsgspecError as error:
        next = "use the version of bleen that the server has; bleen doctor shows both"
        raise BleenError("the server said something that this version does not know", why=str(error), next=next) from error
    return value


def _refusal(status: int, content: bytes) -> BleenError:
    try:
        return error_of(msgspec.json.decode(content, type=ProblemDetails))
    except msgspec.MsgspecError:
        text = content[:200].decode(errors="replace")
        return BleenError(f"the server answered {status}", why=text, next="is this a Bleen server? bleen doctor")
