"""`bleen init`: what it writes works, and it overwrites nothing."""

import signal
import zipfile
from pathlib import Path
from subprocess import run
from sys import executable

import pytest

from bleen.domain.errors import InvalidInput, StorageFull
from bleen.interfaces.repository import init, load_service, validate_path
from tests.interfaces.program import Program

REPOSITORY = Path(__file__).parents[2]


def test_what_is_written_is_a_repository_without_problems(tmp_path: Path) -> None:
    """The list of written files is complete, and the state of the platform is kept out of git."""
    written = init(tmp_path / "new")
    assert sorted(written) == sorted(p for p in (tmp_path / "new").rglob("*") if p.is_file())
    assert validate_path(tmp_path / "new") == []
    assert ".bleen/" in (tmp_path / "new/.gitignore").read_text().splitlines()
    assert len((tmp_path / "new/applications/hello/service.yaml").read_text().splitlines()) <= 10


def test_with_azure_it_has_the_infrastructure_of_the_examples(tmp_path: Path) -> None:
    """The same files, byte for byte, beside a repository that is as good as without them; what Terraform leaves is ignored.

    The pipeline is where GitLab reads it.
    """
    written = init(tmp_path / "new", azure=True)
    examples = REPOSITORY / "examples/infrastructure"
    found = {path.relative_to(examples) for path in examples.rglob("*.*") if path.is_file() and ".terraform" not in path.parts}
    places = {path: tmp_path / "new/infrastructure" / path for path in found}
    places[Path("pipelines/gitlab-ci.yml")] = tmp_path / "new/.gitlab-ci.yml"
    assert set(places.values()) <= set(written)
    assert all(place.read_bytes() == (examples / path).read_bytes() for path, place in places.items())
    assert validate_path(tmp_path / "new") == []
    assert {".terraform/", "*.tfstate*"} <= set((tmp_path / "new/.gitignore").read_text().splitlines())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """One file in the way, and none is written; the refusal lists it."""
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / ".gitignore").symlink_to("nowhere")
    with pytest.raises(InvalidInput) as caught:
        init(tmp_path)
    assert caught.value.why == ".gitignore, README.md"
    assert sorted(p.name for p in tmp_path.iterdir()) == [".gitignore", "README.md"]
    assert (tmp_path / "README.md").read_text() == "mine"


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    """A repository that was just made with its licence is no reason to refuse."""
    (tmp_path / "LICENSE").write_text("mine")
    init(tmp_path)
    assert (tmp_path / "LICENSE").read_text() == "mine"


def test_a_file_for_a_folder_is_refused(tmp_path: Path) -> None:
    """So is a place that cannot be written."""
    (tmp_path / "x").write_text("")
    with pytest.raises(InvalidInput, match="is a file"):
        init(tmp_path / "x")
    with pytest.raises(StorageFull, match="cannot be written"):
        init(Path("/proc/bleen"))


def test_its_service_answers_with_the_standard_library_alone_and_stops_when_told(tmp_path: Path) -> None:
    """Started as Bleen starts it, with no package in sight."""
    init(tmp_path)
    loaded = load_service(tmp_path / "applications/hello")
    script = loaded.folder / "app/server.py"
    env = {name: value for name, value in loaded.service.env.items() if isinstance(value, str)}
    with Program([executable, "-I", "-S", str(script)], env | {"BLEEN_RELEASE": "r7"}, health="/healthz") as hello:
        answer = hello.get("/")
        assert answer.json() == {"greeting": "Hello", "release": "r7", "instance": "test-1"}
        assert hello.get("/nothing").status_code == 404
        assert hello.end(signal.SIGTERM) == 0


def test_the_wheel_carries_the_template(tmp_path: Path) -> None:
    """What is installed from a wheel can start a repository too."""
    build = [executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    template = REPOSITORY / "src/bleen/interfaces/repository/template"
    wanted = {str(p.relative_to(REPOSITORY / "src")) for p in template.rglob("*") if p.is_file() and p.suffix != ".pyc"}
    examples = REPOSITORY / "examples"
    wanted |= {f"bleen/examples/{p.relative_to(examples)}" for p in (examples / "infrastructure").rglob("*.tf")}
    assert "bleen/examples/infrastructure/terraform/modules/service/main.tf" in wanted
    assert wanted <= set(zipfile.ZipFile(wheel).namelist())
