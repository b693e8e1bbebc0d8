"""The pipeline that `bleen init --azure` writes: by GitLab's own schema, and agreeing with what it runs."""

import asyncio
import copy
import json
import os
import re
import shlex
import shutil
from importlib.resources import files
from pathlib import Path
from subprocess import CompletedProcess, run
from typing import Any

import jsonschema
import pytest
import yaml
from msgspec import structs

from bleen.domain.codec import encode
from bleen.domain.errors import ImageRejected
from bleen.domain.image import Directory
from bleen.domain.provenance import bare
from bleen.interfaces.repository import init
from bleen.providers.azure.images import Baking
from bleen.providers.local.images import LocalImages
from bleen.providers.local.images.tree import hash_file
from tests.fixtures.debian import little_mirror
from tests.providers.local.base_bench import Bench
from tests.providers.local.image_bench import overwrite
from tests.providers.local.world import build_app
from tests.terraform.hcl import TERRAFORM, roots
from tests.terraform.test_packer import FOR_NEWER, PACKER

PIPELINE = TERRAFORM.parent / "pipelines/gitlab-ci.yml"
RESERVED = {"stages", "workflow", "default", "variables", "include"}


@pytest.fixture(scope="module")
def validator() -> Any:
    """The schema that GitLab publishes, as check-jsonschema ships it."""
    schema = json.loads((files("check_jsonschema") / "builtin_schemas/vendor/gitlab-ci.json").read_text("utf-8"))
    return jsonschema.validators.validator_for(schema)(schema)


@pytest.fixture
def pipeline() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(PIPELINE.read_text("utf-8"))
    return found


def jobs(pipeline: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the jobs, each with what it extends."""

    def whole(name: str) -> dict[str, Any]:
        own = pipeline[name]
        return merged(whole(own["extends"]), own) if "extends" in own else own

    return {name: whole(name) for name in pipeline if name not in RESERVED and not name.startswith(".")}


def merged(below: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return what GitLab makes of a job that extends another: mappings are merged, all else is replaced."""
    both = {name: merged(below[name], own[name]) for name in below.keys() & own if isinstance(own[name], dict)}
    return {**below, **own, **both}


def complaints(pipeline: dict[str, Any], validator: Any) -> list[str]:
    """Return what the schema says of the file, and of its jobs with what they extend: hidden ones alone it hardly reads."""
    return [error.message for error in validator.iter_errors({**pipeline, **jobs(pipeline)})]


def test_the_pipeline_is_one_by_gitlabs_schema(pipeline: dict[str, Any], validator: Any) -> None:
    """Keys, types, words."""
    assert complaints(pipeline, validator) == []


@pytest.mark.parametrize(
    ("job", "key", "value"),
    [
        ("validate", "scripts", ["true"]),
        ("validate", "script", 7),
        ("apply-dev", "environment", {"name": "dev", "action": "ready"}),
        (".azure", "id_tokens", {"ARM_OIDC_TOKEN": {}}),
        (".apply", "rules", [{"when": "by-hand"}]),
    ],
)
def test_the_schema_notices_a_slip(pipeline: dict[str, Any], validator: Any, job: str, key: str, value: object) -> None:
    """Each of these fails the check above."""
    broken = copy.deepcopy(pipeline)
    broken[job][key] = value
    assert complaints(broken, validator)


def test_the_schema_notices_a_job_that_is_called_like_a_key(pipeline: dict[str, Any], validator: Any) -> None:
    """GitLab reads `services` as containers of all jobs."""
    assert complaints({**pipeline, "services": pipeline["validate"]}, validator)


def test_what_a_schema_cannot_know_fits_together(pipeline: dict[str, Any]) -> None:
    """Stages and needs that there are, a script for each job, and what changes something waits for a person."""
    found = jobs(pipeline)
    for name, job in found.items():
        assert job["stage"] in pipeline["stages"] and job["script"], name
        needs = [each["job"] if isinstance(each, dict) else each for each in job.get("needs", [])]
        assert set(needs) <= set(found), name
        if job["stage"] in ("apply", "deploy"):
            assert job["resource_group"] and job["interruptible"] is False, name
            assert all(rule.get("when") == "manual" for rule in job["rules"]), name
        if job["stage"] != "check":
            assert job["environment"]["name"], f"{name} would have no variables of its environment"
    environments = {root.name for root in roots(TERRAFORM)} - {"bootstrap"}
    assert {job["variables"]["ENVIRONMENT"] for job in found.values() if job["stage"] == "apply"} == environments
    assert set(pipeline["terraform-check"]["parallel"]["matrix"][0]["ENVIRONMENT"]) == environments


def test_every_template_of_packer_is_checked(pipeline: dict[str, Any]) -> None:
    """With a file for each that it would send."""
    folders = {path.parent for path in TERRAFORM.parent.glob("images/*/image.pkr.hcl")}
    assert set(pipeline["packer-check"]["parallel"]["matrix"][0]["TEMPLATE"]) == {folder.name for folder in folders}
    made = next(line.split()[1:] for line in pipeline["packer-check"]["script"] if line.startswith("touch "))
    sent = {name for folder in folders for name in re.findall(r'"(\S+\.tar)"', (folder / "example.pkrvars.hcl").read_text())}
    assert set(made) == sent and len(sent) == 3


def test_what_it_says_of_outputs_is_so() -> None:
    """Whoever sets its variables up is sent to outputs that every environment has."""
    named = set(re.findall(r"terraform output (\w+)", PIPELINE.read_text("utf-8")))
    for root in roots(TERRAFORM):
        if root.name != "bootstrap":
            there = set(re.findall(r'output "(\w+)"', (root / "outputs.tf").read_text("utf-8")))
            assert named and named <= there, root


def test_nobody_signs_in_with_a_secret(pipeline: dict[str, Any]) -> None:
    """The token of a job has the audience that the federated identities of the module ask for."""
    audience = pipeline[".azure"]["id_tokens"]["ARM_OIDC_TOKEN"]["aud"]
    assert audience in (TERRAFORM / "modules/identity/main.tf").read_text("utf-8")
    assert "SECRET" not in PIPELINE.read_text("utf-8").upper().replace("WITH A SECRET", "").replace("NOT SECRETS", "")


def test_every_line_of_a_script_is_one_for_a_shell(pipeline: dict[str, Any]) -> None:
    """`sh -n` reads each job's lines as one program."""
    for name, job in jobs(pipeline).items():
        lines = [*job.get("before_script", []), *job["script"]]
        said = run(["sh", "-n"], input="\n".join(lines), capture_output=True, text=True, check=False)
        assert said.returncode == 0, (name, said.stderr)


def test_init_writes_it_where_gitlab_reads_it(tmp_path: Path) -> None:
    """At the root of the repository, once; without Azure there is none."""
    init(tmp_path / "azure", azure=True)
    assert (tmp_path / "azure/.gitlab-ci.yml").read_bytes() == PIPELINE.read_bytes()
    assert not list((tmp_path / "azure/infrastructure").rglob("gitlab-ci.yml"))
    init(tmp_path / "plain")
    assert not (tmp_path / "plain/.gitlab-ci.yml").exists()


def test_the_bake_script_gives_packer_what_the_controller_tells(tmp_path: Path) -> None:
    """Real Packer reads the template with these variables; parts of a home become a payload with its sum."""
    if shutil.which("packer") is None:
        pytest.skip("packer is not here (Debian's package packer)")
    folder = shutil.copytree(PACKER, tmp_path / "packer", ignore=shutil.ignore_patterns(FOR_NEWER))
    (folder / "guest.tar").write_bytes(b"")
    baking = on_host(tmp_path / "home")
    own = {"PACKER_VERB": "validate", "CHECKPOINT_DISABLE": "1", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    command = shlex.split(f"sh {folder}/bake.sh {folder}/example.pkrvars.hcl")
    for told, code, words in (
        (baking_json(baking), 0, ""),
        (baking_json(on_a_base(baking)), 0, ""),
        ("{}", 1, "KeyError"),
    ):
        said = run(command, input=told, env={**os.environ, **own}, capture_output=True, text=True, timeout=60, check=False)
        assert said.returncode == code and words in said.stderr, said.stdout + said.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("tmp.")] == []


@pytest.mark.parametrize("lost", ["trees/", "manifests/", "provenance/", "another"])
def test_an_image_is_not_baked_without_the_base_that_it_stands_on(tmp_path: Path, lost: str) -> None:
    """Nor with another one in its place: before Packer makes a machine, with what to type."""
    baking = on_a_base(on_host(tmp_path / "home"))
    if lost == "another":
        baking = structs.replace(baking, base=f"sha256:{10:064x}")
    else:
        baking = structs.replace(baking, parts=tuple(part for part in baking.parts if not part.startswith(f"images/{lost}")))
    said = bake(baking, tmp_path)
    assert said.returncode == 1 and not (tmp_path / "payload.tar").exists()
    assert f"stands on the base {baking.base}" in said.stderr and "bleen deploy hello" in said.stderr


def test_a_base_that_is_no_digest_is_not_baked(tmp_path: Path) -> None:
    """A word that the script does not know is refused, not taken for the machine."""
    said = bake(structs.replace(on_host(tmp_path / "home"), base="scratch"), tmp_path)
    assert said.returncode == 1 and "scratch is no base" in said.stderr


def on_host(home: Path) -> Baking:
    """Return what is told of an image of one file."""
    tree = home / "images/trees/7"
    tree.mkdir(parents=True)
    (tree / "hello.py").write_text("print(1)\n")
    digest = f"sha256:{7:064x}"
    return Baking("hello", "1.2.3", digest, digest, "host", str(tree), str(home), ("images/trees/7",))


def on_a_base(baking: Baking) -> Baking:
    """Return the same on a base, whose parts are there, too."""
    parts = tuple(f"images/{part}" for part in (f"manifests/{9:064x}.json", f"provenance/{9:064x}", f"trees/{9:064x}"))
    for part in parts:
        (Path(baking.home) / part).mkdir(parents=True)
    return structs.replace(baking, base=f"sha256:{9:064x}", parts=(*parts, *baking.parts))


def bake(baking: Baking, folder: Path) -> CompletedProcess[str]:
    """Run the script, with a Packer that keeps the payload as ``payload.tar``."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin/packer").write_text(COPYING)
    (folder / "bin/packer").chmod(0o755)
    environ = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}", "BAKED": str(folder / "payload.tar")}
    command = ["sh", str(PACKER / "bake.sh"), "yours"]
    return run(command, input=baking_json(baking), env=environ, capture_output=True, text=True, check=False)


def unpack(folder: Path) -> Path:
    """Return a machine's store, with the payload unpacked as ``scripts/install.sh`` does."""
    machine = folder / "machine"
    machine.mkdir()
    run(["tar", "-xpf", str(folder / "payload.tar"), "-C", str(machine)], check=True)
    return machine


def baking_of(home: Path, digest: str) -> Baking:
    """Return what the controller tells of an image of its home."""
    local = LocalImages(home)
    base = asyncio.run(local.find(digest)).base
    return Baking("hello", "1.2.3", digest, digest, base, str(local.tree(digest)), str(home), local.parts(digest)[1])


def baking_json(baking: Baking) -> str:
    return encode(baking).decode()


def test_what_is_baked_is_verified_on_the_machine(tmp_path: Path) -> None:
    """The payload, unpacked where the guest looks: the image is whole and signed there, and the key that signs has stayed."""
    home = tmp_path / "home"
    digest = asyncio.run(build_app(home))
    sums = []
    for _ in range(2):
        said = bake(baking_of(home, digest), tmp_path)
        assert said.returncode == 0, said.stderr
        sums.append(hash_file(tmp_path / "payload.tar"))
    assert sums[0] == sums[1]
    machine = unpack(tmp_path)
    assert asyncio.run(LocalImages(machine).verify(digest)).name == "hello"
    assert not list(machine.rglob("signing.pem")) and (home / "keys/signing.pem").is_file()
    assert [str(path) for path in machine.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o044 != 0o044] == []
    shutil.rmtree(machine / "keys")
    with pytest.raises(ImageRejected):
        asyncio.run(LocalImages(machine).verify(digest))


def test_a_base_of_a_recipe_is_baked_beside_its_image(tmp_path: Path) -> None:
    """Verified there with the image, to the byte: changed, or with another base in its place, nothing starts from it."""
    with little_mirror(tmp_path / "recipes") as mirror:
        bench = Bench(tmp_path, mirror)
        base = asyncio.run(bench.build())
        image = asyncio.run(bench.images.build("hello", Directory("app"), bench.folder, base.digest))
        other = asyncio.run(bench.build(image="other", packages=("libtool",)))
    said = bake(baking_of(bench.home, image.digest), tmp_path)
    assert said.returncode == 0, said.stderr
    store = LocalImages(unpack(tmp_path))
    assert asyncio.run(store.verify(image.digest)).name == "hello"
    trees = {path.name for path in store.tree(base.digest).parent.iterdir()}
    assert trees == {bare(image.digest), bare(base.digest)}, "each once, and no other"
    tool = store.tree(base.digest) / "usr/bin/tool"
    good = tool.read_text()
    overwrite(tool, "evil\n")
    with pytest.raises(ImageRejected, match="usr/bin/tool"):
        asyncio.run(store.verify(image.digest))
    overwrite(tool, good)
    assert asyncio.run(store.verify(image.digest)).name == "hello"
    make_writable(tool.parents[2], store.tree(base.digest).parent)
    shutil.rmtree(store.tree(base.digest))
    shutil.copytree(bench.images.tree(other.digest), store.tree(base.digest), symlinks=True)
    with pytest.raises(ImageRejected):
        asyncio.run(LocalImages(tmp_path / "machine").verify(image.digest))


def make_writable(*folders: Path) -> None:
    """Let their folders be changed by their owner, as root may anyhow."""
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)


COPYING = """#!/bin/sh
for word in "$@"; do case "$word" in payload=*) cp "${word#payload=}" "$BAKED";; esac; done
"""
"""In the place of Packer: keeps the payload that it was to send."""
