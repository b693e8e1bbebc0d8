"""The API from the other side: one method per question, domain values in and out, our own errors raised."""

from collections.abc import Iterator
from types import TracebackType
from typing import Any, TypeVar
from uuid import uuid4

import msgspec

from bleen.domain.audit import AuditReport, EntryProof, Growth
from bleen.domain.base import Exported, Stage
from bleen.domain.codec import decode, encode
from bleen.domain.command import Command
from bleen.domain.errors import BleenError, Unreachable
from bleen.domain.fleet import LogLine
from bleen.domain.image import Image
from bleen.domain.inventory import BillFormat
from bleen.domain.provenance import Provenance
from bleen.domain.removal import Removing
from bleen.domain.rollout import Rollout
from bleen.interfaces.admission import LoginClaim, LoginResult, LoginStarted
from bleen.interfaces.platform import Server
from bleen.interfaces.problem import ProblemDetails, error_of
from bleen.interfaces.views import (
    ActiveRollouts,
    AuditPage,
    BuildLine,
    BuildList,
    CalendarOrder,
    DryRun,
    Explanation,
    ExportOrder,
    FreezeOrder,
    FreezeView,
    GoBackOrder,
    HistoryView,
    ImageBuilt,
    ImageFailed,
    ImageList,
    ImageUses,
    ImageView,
    Link,
    LinkOrder,
    NewToken,
    PatchList,
    PatchOrder,
    PlatformView,
    RemovalOrder,
    RenewalView,
    RetryOrder,
    RollbackResult,
    ScaleOrder,
    ScanOrder,
    ScanView,
    ServiceList,
    ServiceView,
    StageEnded,
    ThawOrder,
    TokenList,
    TokenOrder,
    TrialOrder,
    TrialView,
)
from bleen.providers.transport import httpx, verification
from bleen.workflows.messages import BuildRequest, DeployRequest, DeployResult, ScaleResult

T = TypeVar("T")
_QUICK = httpx.Timeout(10.0, connect=2.0)
_TELLING = httpx.Timeout(60.0, connect=2.0)
"""Longer than a channel may take."""
_BUILDING = httpx.Timeout(1800.0, connect=2.0)


class Client:
    """Speaks to one server. Every method raises what the server raised, or Unreachable."""

    def __init__(self, server: Server, *, transport: httpx.BaseTransport | None = None) -> None:
        self.server = server
        bearer = {"authorization": f"Bearer {server.token}"} if server.token else {}
        headers = bearer | {"accept": "application/json"}
        self._http = httpx.Client(
            base_url=server.address,
            headers=headers,
            timeout=_QUICK,
            transport=transport,
            trust_env=False,
            verify=verification(server.address),
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

    def deploy(self, request: DeployRequest, *, break_glass: str = "", override_freeze: str = "") -> DeployResult:
        """Make a release and roll it out; returns when it is on its way, which takes as long as its image."""
        reasons = {"break_glass": break_glass, "override_freeze": override_freeze}
        return self._post("/v1/deployments", request, DeployResult, timeout=_BUILDING, **reasons)

    def dry_run(self, request: DeployRequest) -> DryRun:
        """Return what `deploy` would do."""
        return self._post("/v1/dry-runs", request, DryRun, timeout=_BUILDING)

    def command(self, environment: str, service: str, command: Command, *, break_glass: str = "") -> Rollout:
        """Tell the rollout under way something."""
        path = f"/v1/services/{service}/commands"
        return self._post(path, command, Rollout, environment=environment, break_glass=break_glass)

    def rollback(self, environment: str, service: str, order: GoBackOrder) -> RollbackResult:
        """Go back."""
        return self._post(f"/v1/services/{service}/rollback", order, RollbackResult, environment=environment)

    def retry(self, environment: str, service: str, order: RetryOrder) -> RollbackResult:
        """Roll the last release out again, which did not make it."""
        return self._post(f"/v1/services/{service}/retry", order, RollbackResult, environment=environment)

    def scale(self, environment: str, service: str, order: ScaleOrder) -> ScaleResult:
        """Change the number of instances."""
        return self._post(f"/v1/services/{service}/scale", order, ScaleResult, environment=environment)

    def remove(self, environment: str, service: str, order: RemovalOrder) -> Removing:
        """Take a service out of an environment; returns when that is under way."""
        reasons = {"reason": order.reason, "break_glass": order.break_glass, "override_freeze": order.override_freeze}
        query = _query(environment=environment, by=order.by, **reasons)
        headers = {"idempotency-key": str(uuid4())}
        removing: Removing = self._ask("DELETE", f"/v1/services/{service}", Removing, params=query, headers=headers)
        return removing

    def freeze_of(self, environment: str) -> FreezeView:
        """Return whether an environment takes rollouts now, and what it goes by."""
        return self._get(f"/v1/environments/{environment}/freeze", FreezeView)

    def freeze(self, environment: str, order: FreezeOrder) -> FreezeView:
        """Let no rollout begin there."""
        return self._post(f"/v1/environments/{environment}/freeze", order, FreezeView)

    def thaw(self, environment: str, order: ThawOrder) -> FreezeView:
        """End a freeze before its time."""
        return self._post(f"/v1/environments/{environment}/thaw", order, FreezeView)

    def set_calendar(self, environment: str, order: CalendarOrder) -> FreezeView:
        """Let an environment go by a calendar."""
        options = {"content": encode(order), "headers": {"content-type": "application/json", "idempotency-key": str(uuid4())}}
        view: FreezeView = self._ask("PUT", f"/v1/environments/{environment}/calendar", FreezeView, **options)
        return view

    def try_notices(self, environment: str, order: TrialOrder) -> TrialView:
        """Tell each channel that hears of ``environment`` something now, and return which of them took it."""
        return self._post(f"/v1/environments/{environment}/notices/trial", order, TrialView, timeout=_TELLING)

    def rollouts(self) -> ActiveRollouts:
        """Return every rollout under way, in every environment, warm times included."""
        return self._get("/v1/rollouts", ActiveRollouts)

    def audit(self, *, service: str = "", environment: str = "", by: str = "", before: int = 0, limit: int = 100) -> AuditPage:
        """Return entries of the ledger, newest first."""
        return self._get("/v1/audit", AuditPage, service=service, environment=environment, by=by, before=before, limit=limit)

    def verify(self) -> AuditReport:
        """Return what an audit of the whole log finds; takes seconds for each 100,000 entries."""
        return self._ask("GET", "/v1/audit/verification", AuditReport, timeout=_BUILDING)

    def prove(self, sequence: int) -> EntryProof:
        """Return the proof that an entry is in the log."""
        return self._get(f"/v1/audit/proofs/{sequence}", EntryProof)

    def grown(self, size: int) -> Growth:
        """Return the proof that the log begins with its first ``size`` entries of before."""
        return self._get("/v1/audit/growth", Growth, size=size)

    def make_token(self, order: TokenOrder) -> NewToken:
        """Make a token; its secret is told this once."""
        return self._post("/v1/tokens", order, NewToken)

    def tokens(self) -> TokenList:
        """Return every token that the asker may see, newest first."""
        return self._get("/v1/tokens", TokenList)

    def revoke_token(self, token: str, by: str) -> None:
        """Let a token count no longer."""
        self._ask("DELETE", f"/v1/tokens/{token}", None, params=_query(by=by))

    def link(self, by: str) -> Link:
        """Make a link that signs a browser in, once."""
        return self._post("/v1/links", LinkOrder(by), Link)

    def start_login(self) -> LoginStarted:
        """Begin to sign in with the issuer that the server believes; somebody confirms the code."""
        return self._ask("POST", "/v1/logins", LoginStarted)

    def claim_login(self, secret: str) -> LoginResult:
        """Ask whether somebody has; the token is told this once."""
        return self._post("/v1/logins/claim", LoginClaim(secret), LoginResult)

    def end_token(self) -> None:
        """Let the token that asks count no longer."""
        self._ask("DELETE", "/v1/token", None)

    def images(self) -> ImageList:
        """Return every image, newest first."""
        return self._get("/v1/images", ImageList)

    def image(self, digest: str) -> ImageView:
        """Return one image and its files."""
        return self._get(f"/v1/images/{digest}", ImageView)

    def image_uses(self) -> ImageUses:
        """Return every image, and what keeps it."""
        return self._get("/v1/image-uses", ImageUses)

    def image_status(self) -> PatchList:
        """Return how old the patches of every service are."""
        found: PatchList = self._ask("GET", "/v1/image-status", PatchList, timeout=_BUILDING)
        return found

    def patching(self) -> RenewalView:
        """Return what patching does, when it looks next, and what it did last."""
        return self._get("/v1/image-patches", RenewalView)

    def patch(self, order: PatchOrder) -> RenewalView:
        """Renew bases now."""
        return self._post("/v1/image-patches", order, RenewalView)

    def remove_image(self, digest: str) -> ImageUses:
        """Remove an image that nothing needs."""
        left: ImageUses = self._ask("DELETE", f"/v1/images/{digest}", ImageUses)
        return left

    def export_image(self, digest: str, folder: str) -> Exported:
        """Write an image for other tools, on the server's machine."""
        return self._post(f"/v1/images/{digest}/export", ExportOrder(folder), Exported, timeout=_BUILDING)

    def build_image(self, request: BuildRequest) -> Iterator[Stage | Image]:
        """Yield each stage of a build as it ends, and the image last; raises what the build raised."""
        options: Any = {"content": encode(request), "headers": {"content-type": "application/json"}, "timeout": _BUILDING}
        for line in self._lines("POST", "/v1/image-builds", options):
            told: BuildLine = _read(line, BuildLine)
            match told:
                case StageEnded(stage):
                    yield stage
                case ImageBuilt(image):
                    yield image
                case ImageFailed(problem):
                    raise error_of(problem)

    def builds(self) -> BuildList:
        """Return every build under way."""
        return self._get("/v1/image-builds", BuildList)

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
        for line in self._lines("GET", f"/v1/services/{service}/logs", {"params": query, "timeout": timeout}):
            yield decode(line, LogLine)

    def _lines(self, method: str, path: str, options: dict[str, Any]) -> Iterator[str]:
        try:
            with self._http.stream(method, path, **options) as answer:
                if answer.is_error:
                    raise _refusal(answer.status_code, answer.read())
                yield from answer.iter_lines()
        except httpx.TransportError as error:
            raise self._silent(error) from error

    def _get(self, path: str, kind: type[T] | Any, timeout: httpx.Timeout = _QUICK, **query: str | int | bool) -> T:
        view: T = self._ask("GET", path, kind, params=_query(**query), timeout=timeout)
        return view

    def _post(self, path: str, body: object, kind: type[T] | Any, timeout: httpx.Timeout = _QUICK, **query: str) -> T:
        headers = {"content-type": "application/json", "idempotency-key": str(uuid4())}
        options = {"params": _query(**query), "content": encode(body), "headers": headers, "timeout": timeout}
        result: T = self._ask("POST", path, kind, **options)
        return result

    def _ask(self, method: str, path: str, kind: type[T] | Any, **options: Any) -> T:
        content: T = _read(self._request(method, path, **options) or b"null", kind)
        return content

    def _request(self, method: str, path: str, **options: Any) -> bytes:
        try:
            answer = self._send(method, path, **options)
        except httpx.TransportError as error:
            raise self._silent(error) from error
        if answer.is_error:
            raise _refusal(answer.status_code, answer.content)
        return answer.content

    def _send(self, method: str, path: str, **options: Any) -> "httpx.Response":
        """Ask; once more where the connection broke before the answer: a write has a key, and is done once."""
        try:
            return self._http.request(method, path, **options)
        except (httpx.ReadError, httpx.RemoteProtocolError):
            return self._http.request(method, path, **options)

    def _silent(self, error: httpx.TransportError) -> Unreachable:
        why = str(error) or type(error).__name__
        return Unreachable(
            f"{self.server.address} does not answer", why=why, next="bleen doctor says what runs; bleen up starts it"
        )


def _query(**query: str | int | bool) -> dict[str, str]:
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in query.items() if value != ""}


def _read(content: bytes | str, kind: type[T] | Any) -> T:
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
