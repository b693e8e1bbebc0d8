"""Runs the real `terraform` on a copy of the tree; its provider is the served schema, and it asks no registry."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, CompletedProcess, Popen, run
from typing import Any

import msgspec

from tests.terraform.hcl import load, modules, roots
from tests.terraform.schema import REPOSITORY, TOOLS, Schema

_SOURCE = "registry.terraform.io/hashicorp/azurerm"
_LOCAL = 'terraform {\n  backend "local" {}\n}\n'


@contextmanager
def served(schema: Schema, folder: Path) -> Iterator[dict[str, str]]:
    """Serve the schema while the block runs, on a socket in ``folder``; yields the environment that leads Terraform to it."""
    socket, written = folder / "socket", folder / "schema.msgpack"
    written.write_bytes(msgspec.msgpack.encode(schema))
    command = [TOOLS / "bin/python", "-m", "tests.terraform.provider", written, socket]
    with Popen(command, cwd=REPOSITORY, stdout=PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", "the provider did not start: its words are above"
            yield {"TF_REATTACH_PROVIDERS": json.dumps({_SOURCE: _address(process.pid, socket)})}
        finally:
            process.terminate()


def _address(pid: int, socket: Path) -> dict[str, Any]:
    address = {"Network": "unix", "String": str(socket)}
    return {"Protocol": "grpc", "ProtocolVersion": 5, "Pid": pid, "Test": True, "Addr": address}


class Terraform:
    """One way to call it: quiet, offline, with folders of its own."""

    def __init__(self, program: str, provider: dict[str, str]) -> None:
        quiet = {"TF_CLI_CONFIG_FILE": "/dev/null", "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
        self._program = program
        self._environment = {**os.environ, **provider, **quiet}

    def __call__(self, folder: Path, *words: str) -> CompletedProcess[str]:
        """Return what a command says; both streams as text."""
        command = [self._program, f"-chdir={folder}", *words]
        return run(command, env=self._environment, capture_output=True, text=True, timeout=600, check=False)

    def ready(self, folder: Path) -> None:
        """Prepare a folder of a copied tree, with no backend but a local one."""
        if (folder / "backend.tf").exists():
            (folder / "backend_override.tf").write_text(_LOCAL)
        said = self(folder, "init", "-no-color", "-input=false")
        assert said.returncode == 0, said.stderr

    def validate(self, folder: Path) -> list[dict[str, Any]]:
        """Return the errors of a folder and of the modules that it calls."""
        said = json.loads(self(folder, "validate", "-json").stdout)
        return [found for found in said["diagnostics"] if found["severity"] == "error"]

    def plan(self, folder: Path) -> dict[str, Any]:
        """Return the plan of a folder, as `terraform show -json` tells it."""
        said = self(folder, "plan", "-no-color", "-input=false", "-lock=false", "-out=plan")
        assert said.returncode == 0, said.stderr
        plan: dict[str, Any] = json.loads(self(folder, "show", "-json", "plan").stdout)
        return plan


def copied(tree: Path, to: Path) -> Path:
    """Return a copy of the tree without what Terraform left in it."""
    return shutil.copytree(tree, to, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))


def used(schema: Schema, tree: Path) -> Schema:
    """Return the part of the schema that the tree uses: Terraform reads it in a tenth of the time."""
    keys = {key[:2] for folder in [*modules(tree), *roots(tree)] for key in load(folder).resources}
    return Schema(
        version=schema.version,
        provider=schema.provider,
        resources={kind: block for kind, block in schema.resources.items() if ("resource", kind) in keys},
        data={kind: block for kind, block in schema.data.items() if ("data", kind) in keys},
    )


def resources(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every resource that a plan makes, wherever in its modules."""
    return _inside(plan["planned_values"]["root_module"])


def _inside(module: dict[str, Any]) -> list[dict[str, Any]]:
    found = list(module.get("resources", []))
    for child in module.get("child_modules", []):
        found += _inside(child)
    return found
