"""The references of the files that people write, made of their types.

``python -m bleen.interfaces.repository.reference`` writes them into docs/reference; a test fails where a page differs.
"""

import inspect
import sys
from pathlib import Path
from typing import Any

from msgspec import NODEFAULT
from msgspec import inspect as types

from bleen.domain.base import Recipe
from bleen.domain.calendar import Calendars
from bleen.domain.channel import Channels
from bleen.domain.duration import Duration
from bleen.domain.fidelity import Estate
from bleen.domain.issuer import Access
from bleen.domain.policy import Policy
from bleen.domain.service import Service
from bleen.interfaces.repository.bounds import span
from bleen.interfaces.repository.document import spell
from bleen.interfaces.repository.schema import default_of, structs_of

EXAMPLE = """\
service: hello
image:
  type: directory
  path: app
command: [python, "{app}/server.py"]
instances: 3
health:
  path: /healthz
env:
  DATABASE_URL: {secret: HELLO_DATABASE_URL}
"""

_INTRODUCTION = f"""\
# The service file

`applications/<name>/service.yaml` says what a service is made of, how it runs, and how it changes version. These ten lines are
enough:

```yaml
{EXAMPLE}```

`bleen validate` names every mistake with its line. `bleen schema service` prints the JSON Schema, for editors.

- Unknown keys are refused. So are keys written twice, anchors, tags, tabs, files over 1 MiB and anything but UTF-8.
- Values are read as YAML 1.2 reads them: `true` and `false` are the only truth values; `1.10` is a number, so a version is
  written `"1.10"`.
- A duration is a number with its unit, or several: `500ms`, `30s`, `10m`, `1h30m`, `2d`.
- A path is relative to the folder of the service file, and stays inside the repository.
- The program listens at `{{address}}` and `{{port}}`. It also finds `BLEEN_ADDRESS`, `BLEEN_PORT`, `BLEEN_SERVICE`,
  `BLEEN_RELEASE`, `BLEEN_COLOUR`, `BLEEN_INSTANCE` and `BLEEN_FILES` in its environment.
- `env` and `files` are part of the release, and go back with it. All `files` of a service are UTF-8 text, of 256 KiB in all.
- A secret is named, never written: `{{secret: NAME}}`.
- `strategy: {{type: canary, preset: normal}}` lets the users' own traffic decide about a release. Steps of one's own rise to
  100 % of the traffic and never fall: to take traffic away from a release is to roll it back.

This page is made from the types: `python -m bleen.interfaces.repository.reference`.
"""
IMAGE_EXAMPLE = """\
image: debian-python
suite: bookworm
packages: [python3, ca-certificates, coreutils]
hardening:
  remove_packages: [debconf]
"""

_IMAGE_INTRODUCTION = f"""\
# The image file

`infrastructure/images/<name>.yaml` is the recipe of a base image: which packages of a distribution, how patched, how
hardened. A service names it: `image: {{..., base: debian-python}}`. These lines are enough:

```yaml
{IMAGE_EXAMPLE}```

`bleen validate` names every mistake with its line. `bleen schema image` prints the JSON Schema, for editors. `bleen image
build NAME` builds it; [the guide](../guides/images.md) shows how, and what comes of it.

- Beside it lies its lock, `<name>.lock.json`, which pins every package by version and digest. The first build makes it;
  `bleen image build NAME --upgrade` makes it anew, with the newest fixes. Whoever has the lock builds the same image, to the
  byte.
- Mirror and keyring are those of the machine's own apt, unless `mirror` says otherwise. No package is believed whose digest
  is not signed: `InRelease`, then the index, then the package.
- Scripts of packages are not run. What they would have made is made by Bleen: one file of certificates, accounts, `awk`, the
  list of packages, compiled modules.

This page is made from the types: `python -m bleen.interfaces.repository.reference`.
"""
POLICY_EXAMPLE = """\
block: [critical]
environments:
  production: [critical, high, not-checked]
waivers:
  - finding: CVE-2026-1234
    owner: ann@example.org
    reason: the function is never called
    expires: "2027-01-31"
"""

_POLICY_INTRODUCTION = f"""\
# The policy file

`infrastructure/policy.yaml` says which findings in an image block its release where, and who answers for which of them. A
repository without one has the defaults below. This is a whole one:

```yaml
{POLICY_EXAMPLE}```

`bleen validate` names every mistake with its line. `bleen schema policy` prints the JSON Schema, for editors. `bleen image
scan NAME` shows what it says of an image; [the guide](../guides/image-trust.md) shows what is found, and what a refusal looks
like.

- It is read by whoever deploys, and goes along with the deployment; the ledger keeps each judgement, with what was waived by
  whom. A patch that arrives by itself is judged by what let the present release through.
- An environment that is named in `environments` goes by that alone, and not by `block`.
- `not-checked` is a severity of its own: what nobody could look at.
- A waiver has an owner, a reason and a last day. After that day it waives nothing, and is a finding itself (`expired-waiver`,
  `medium`).

This page is made from the types: `python -m bleen.interfaces.repository.reference`.
"""
AZURE_EXAMPLE = """\
gateways:
  dev: appgw-flip
  production: envoy
"""

_AZURE_INTRODUCTION = f"""\
# The file of Azure's gateways

`infrastructure/azure.yaml` says which gateways the environments have in Azure, as `gateway_mode` of their Terraform does.
Without it, and for an environment that is not named, that is `envoy`, which can do all that a service file may ask for. This is
a whole one:

```yaml
{AZURE_EXAMPLE}```

`bleen validate` names with its line whatever a service asks for and one of these gateways cannot do. `bleen schema azure`
prints the JSON Schema.

- `appgw-flip` sends all of a service to one colour: no weight but 100 %, no measurement before it, no cohort, no copies, no
  affinity.
- `appgw-mixed` has instances of both colours in one pool: a weight is a share of instances, and a check before the switch has
  nobody to ask. A measurement is of failures and of metrics of one's own: `analysis: {{latency: {{weight: 0}}}}`. Else as
  `appgw-flip`.
- Behind both, Azure Monitor counts answers by release, and tells them two to three minutes later; Bleen sends no requests of
  its own (`synthetic`).
- Bleen drives both by updates of the gateway that take minutes each: one for each change of rules in `appgw-flip`, and one for
  each machine that enters or leaves a pool in `appgw-mixed`.

This page is made from the types: `python -m bleen.interfaces.repository.reference`.
"""
CALENDARS_EXAMPLE = """\
calendars:
  production:
    zone: Europe/Berlin
    windows:
      - {days: [mon, tue, wed, thu], from: "09:00", to: "16:00"}
    holidays: {country: DE, subdivision: BE}
    freezes:
      - {from: 2026-12-18, to: 2027-01-06, reason: the year's end}
"""

_CALENDARS_INTRODUCTION = f"""\
# The calendars file

`infrastructure/calendars.yaml` says when rollouts may begin in which environment. This is a whole one:

```yaml
{CALENDARS_EXAMPLE}```

`bleen validate` names every mistake with its line. `bleen schema calendars` prints the JSON Schema, for editors. `bleen
calendar apply` has the environments go by it; [the guide](../guides/freezes.md) shows what that leads to.

- Until it is applied it changes nothing. That takes the role admin: those who deploy do not open their own windows.
- Every time is what a clock on the wall of `zone` shows, in summer and in winter. An hour that a change to summer time leaves
  out is in no window; one that a change back repeats is in its window twice.
- A window that closes, and a holiday, keep rollouts from beginning. A freeze also holds those under way, once their step is
  done.

This page is made from the types: `python -m bleen.interfaces.repository.reference`.
"""
CHANNELS_EXAMPLE = """\
channels:
  - type: mail
    name: on-call
    level: critical
    environments: [production]
    server: smtp.example.org:587
    sender: bleen@example.org
    to: [on-call@example.org]
    user: bleen
    password: {secret: SMTP_PASSWORD}
  - type: chat
    name: release-room
    level: warning
    url: {secret: RELEASE_ROOM}
  - type: webhook
    name: pipeline
    url: https://ci.example.org/hooks/bleen
    key: {secret: PIPELINE_KEY}
"""

_CHANNELS_INTRODUCTION = f"""\
# The channels file

The file that `BLEEN_CHANNELS` names says where notices go; `infrastructure/channels.yaml` is a good place for it. This is a
whole one:

```yaml
{CHANNELS_EXAMPLE}```

`bleen validate` names every mistake with its line. `bleen schema channels` prints the JSON Schema, for editors. The controller
reads it when it starts; [the guide](../guides/notices.md) shows what arrives.

- Secrets are files of the home, `<home>/secrets/NAME`, of mode 0600. They are read for each notice.
- `BLEEN_NOTIFY` goes on to hear of everything, beside these channels.

This page is made from the types: `python -m bleen.interfaces.repository.reference`.
"""
ACCESS_EXAMPLE = """\
address: https://bleen.example.org
issuers:
  - issuer: https://login.example.org
    label: Acme
    sign_in: {client: bleen, secret_file: /etc/bleen/oidc-secret}
    rules:
      - when: {groups: [platform]}
        roles: {"*": admin}
      - when: {groups: [developers, testers]}
        roles: {dev: deployer, production: viewer}
  - issuer: https://gitlab.example.org
    audience: https://bleen.example.org
    name: project_path
    rules:
      - when: {project_path: [acme/shop], ref_protected: ["true"]}
        roles: {staging: deployer, production: deployer}
"""

_ACCESS_INTRODUCTION = f"""\
# The access file

The file that `BLEEN_ACCESS_FILE` names says whose word the controller takes for who somebody is, and which roles that
gives. It is on the controller's machine, and in no repository: a rule that its subjects can edit is none. This is a whole one:

```yaml
{ACCESS_EXAMPLE}```

`bleen up` names every mistake with its line, before anything is started. `bleen schema access` prints the JSON Schema, for
editors. [The guide](../guides/access.md) shows how people and pipelines sign in.

- It is read when the controller starts. Who has signed in keeps the roles of that moment until the token ends or is revoked; a
  program's token is held against the rules each time.
- A claim's value is compared as text, to the letter: a list has several, a truth value is `true` or `false`. There are no
  patterns.
- `realm_access.roles` is the claim of that name or, where there is none, `roles` inside of `realm_access`.
- A name in the ledger is letters, digits and `._@-`, for programs also `/:+`. It stays with whom it was first given to.

This page is made from the types: `python -m bleen.interfaces.repository.reference`.
"""
_TAG_ROW = "| `type` | `{tag}` | required | Which of the alternatives this is. |"


def service_reference() -> str:
    """Return the reference page of service files: every key with its type, its default and its meaning."""
    return "\n".join([_INTRODUCTION, *(_section(kind, Service) for kind in structs_of(Service))])


def image_reference() -> str:
    """Return the reference page of recipes for base images."""
    return "\n".join([_IMAGE_INTRODUCTION, *(_section(kind, Recipe) for kind in structs_of(Recipe))])


def policy_reference() -> str:
    """Return the reference page of policies."""
    return "\n".join([_POLICY_INTRODUCTION, *(_section(kind, Policy) for kind in structs_of(Policy))])


def azure_reference() -> str:
    """Return the reference page of the file of Azure's gateways."""
    return "\n".join([_AZURE_INTRODUCTION, *(_section(kind, Estate) for kind in structs_of(Estate))])


def calendars_reference() -> str:
    """Return the reference page of calendars."""
    return "\n".join([_CALENDARS_INTRODUCTION, *(_section(kind, Calendars) for kind in structs_of(Calendars))])


def channels_reference() -> str:
    """Return the reference page of channels."""
    return "\n".join([_CHANNELS_INTRODUCTION, *(_section(kind, Channels) for kind in structs_of(Channels))])


def access_reference() -> str:
    """Return the reference page of access files."""
    return "\n".join([_ACCESS_INTRODUCTION, *(_section(kind, Access) for kind in structs_of(Access))])


def write(folder: Path) -> None:
    """Write the pages into ``folder``."""
    (folder / "service-file.md").write_text(service_reference(), encoding="utf-8")
    (folder / "image-file.md").write_text(image_reference(), encoding="utf-8")
    (folder / "access-file.md").write_text(access_reference(), encoding="utf-8")
    (folder / "policy-file.md").write_text(policy_reference(), encoding="utf-8")
    (folder / "azure-file.md").write_text(azure_reference(), encoding="utf-8")
    (folder / "channels-file.md").write_text(channels_reference(), encoding="utf-8")
    (folder / "calendars-file.md").write_text(calendars_reference(), encoding="utf-8")


def _section(kind: types.StructType, top: type) -> str:
    words = (inspect.getdoc(kind.cls) or "").replace("``", "`")
    rows = [_TAG_ROW.format(tag=kind.tag)] if kind.tag is not None else []
    rows += [_row(field) for field in kind.fields]
    return "\n".join(
        [
            f"## {_heading(kind) if kind.cls is not top else 'The file'}",
            "",
            words,
            "",
            "| Key | Value | Default | Meaning |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _heading(kind: types.StructType) -> str:
    return f"{_spaced(kind.cls.__name__)}" + (f" (`type: {kind.tag}`)" if kind.tag is not None else "")


def _spaced(name: str) -> str:
    """Return ``BlueGreen`` as ``Blue green``."""
    return "".join(f" {c.lower()}" if c.isupper() and i else c for i, c in enumerate(name))


def _anchor(kind: types.StructType) -> str:
    """Return where Markdown puts the section of ``kind``."""
    kept = "".join(c for c in _heading(kind).lower() if c.isalnum() or c in " -_")
    return "#" + kept.replace(" ", "-")


def _row(field: types.Field) -> str:
    default = default_of(field)
    stated = "required" if default is NODEFAULT else _stated(default)
    said = _notes(field.type).get("description", "")
    return f"| `{field.encode_name}` | {_value(field.type)} | {stated} | {_cell(said)} |"


def _stated(default: Any) -> str:
    if default is None or default in ("", (), [], {}):
        return "none"
    return "see there" if isinstance(default, dict) else f"`{spell(default)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _notes(kind: types.Type) -> dict[str, Any]:
    return (kind.extra_json_schema or {}) if isinstance(kind, types.Metadata) else {}


def _value(kind: types.Type) -> str:
    match kind:
        case types.Metadata():
            return _value(kind.type)
        case types.UnionType():
            return " or ".join(_value(one) for one in kind.types if not isinstance(one, types.NoneType))
        case types.StructType():
            return f"[{kind.tag or _spaced(kind.cls.__name__).lower()}]({_anchor(kind)})"
        case types.VarTupleType():
            return f"list of {_value(kind.item_type)}"
        case types.DictType():
            return f"names, each with {_value(kind.value_type)}"
        case types.IntType() | types.FloatType():
            return f"number {span(kind)}".strip()
        case types.EnumType():
            return ", ".join(f"`{one}`" for one in kind.cls)
        case types.StrType():
            return "text"
        case types.BoolType():
            return "`true` or `false`"
        case types.CustomType(cls=cls) if cls is Duration:
            return "duration"
        case _:
            raise NotImplementedError(f"the reference has no words for {kind}")


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference"))
