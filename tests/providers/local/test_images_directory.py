"""Images of folders: what goes in, what stays out, what is refused."""

import os
import time
from pathlib import Path

import pytest

from bleen.domain.errors import BuildFailed, InvalidInput, NotFound, StartFailed
from bleen.domain.image import Directory, Image
from bleen.providers.local.images import LocalImages, find_command, machine_folders, process_environment
from tests.providers.local.image_bench import LocalBench, build_or_skip, local_bench, run, write_app

APP = Directory("app")


@pytest.fixture
def bench(tmp_path: Path) -> LocalBench:
    return local_bench(tmp_path)


async def build(bench: LocalBench, source: Directory = APP) -> Image:
    return await bench.images.build("hello", source, bench.folder)


def output(bench: LocalBench, image: Image, *command: str) -> str:
    """Return what ``command`` prints when it is run as an instance would."""
    ended = run(bench, image, *command)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("python", ["python", "python3", "python3.11"])
async def test_python_finds_the_application_from_any_folder(bench: LocalBench, python: str) -> None:
    """`python -m hello` needs no working folder."""
    write_app(bench.folder / "app", 7)
    image = await build(bench)
    if not image.runtime.endswith(python.removeprefix("python").removeprefix("3") or "11"):
        pytest.skip(f"not applicable: this interpreter is {image.runtime}")
    assert output(bench, image, python, "-m", "hello") == "7\n"


async def test_the_machine_s_own_packages_are_not_seen(bench: LocalBench) -> None:
    """An application that needs a package which is not in its image fails here already."""
    write_app(bench.folder / "app")
    where = "import sys; print([p for p in sys.path if 'site-packages' in p or 'dist-packages' in p])"
    assert output(bench, await build(bench), "python", "-c", where) == "[]\n"


async def test_bytecode_is_in_the_image_and_used(bench: LocalBench) -> None:
    """Nothing is compiled at start, and nothing written into the tree."""
    write_app(bench.folder / "app")
    image = await build(bench)
    paths = {file.path for file in await bench.images.files(image.digest)}
    assert any(path.startswith("__pycache__/hello.") for path in paths)
    output(bench, image, "python", "-c", "import hello")
    await bench.images.verify(image.digest)


async def test_what_git_and_caches_leave_is_not_in_the_image(bench: LocalBench) -> None:
    """Neither is a file of secrets, nor what the folder itself says."""
    app = write_app(bench.folder / "app")
    for name in (".git/config", "sub/__pycache__/x.pyc", ".venv/bin/python", ".env", "notes/a.md", "deep/b.log", ".kept"):
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text("x")
    (app / ".bleenignore").write_text("# documents\nnotes/\n*.log\n")
    paths = {file.path for file in await bench.images.files((await build(bench)).digest)}
    assert {path for path in paths if "hello" not in path and "shared" not in path and not path.startswith(".runtime")} == {
        ".bleenignore",
        ".kept",
    }


async def test_an_ignore_file_that_takes_back_is_refused_by_line(bench: LocalBench) -> None:
    """A pattern that would be misunderstood is no pattern."""
    (write_app(bench.folder / "app") / ".bleenignore").write_text("*.log\n!kept.log\n")
    with pytest.raises(InvalidInput) as caught:
        await build(bench)
    assert caught.value.where.endswith(".bleenignore:2")


async def test_a_store_below_the_folder_is_not_in_the_image(tmp_path: Path) -> None:
    """A small repository is its own application, and holds its own home."""
    write_app(tmp_path)
    images = LocalImages(tmp_path / "state")
    first = await images.build("hello", Directory("."), tmp_path)
    again = await images.build("hello", Directory("."), tmp_path)
    assert first == again
    assert not any(file.path.startswith("state/") for file in await images.files(first.digest))


async def test_a_changed_byte_or_mode_is_another_image(bench: LocalBench) -> None:
    """The time of a file is not content; its bytes, its name and its mode are."""
    app = write_app(bench.folder / "app")
    digests = [(await build(bench)).digest]
    os.utime(app / "hello.py", (1, 1))
    assert (await build(bench)).digest == digests[0]
    (app / "shared-0.txt").chmod(0o755)
    digests.append((await build(bench)).digest)
    (app / "shared-0.txt").rename(app / "shared-x.txt")
    digests.append((await build(bench)).digest)
    status = (app / "shared-1.txt").stat()
    (app / "shared-1.txt").write_text("THE same in all 1\n")
    os.utime(app / "shared-1.txt", ns=(status.st_atime_ns, status.st_mtime_ns))
    digests.append((await build(bench)).digest)
    assert len(set(digests)) == 4


async def test_building_an_unchanged_folder_again_is_fast(bench: LocalBench) -> None:
    """Nothing is compiled or published a second time, though every byte is read."""
    write_app(bench.folder / "app", files=300)
    await build(bench)
    start = time.monotonic()
    await build(bench)
    assert time.monotonic() - start < 2


async def test_links_inside_are_kept_and_links_outside_are_refused(bench: LocalBench) -> None:
    """Also one that leaves by way of another link."""
    app = write_app(bench.folder / "app")
    (app / "inner").symlink_to("hello.py")
    image = await build(bench)
    assert (bench.images.tree(image.digest) / "inner").readlink() == Path("hello.py")
    (app / "deep").mkdir()
    (app / "deep" / "top").symlink_to("..")
    (app / "sly").symlink_to("deep/top/../x")
    with pytest.raises(BuildFailed, match="sly"):
        await build(bench)
    (app / "sly").unlink()
    (app / "out").symlink_to("/etc/passwd")
    with pytest.raises(BuildFailed, match=r"out .* /etc/passwd"):
        await build(bench)


async def test_a_link_that_goes_round_is_carried_as_it_is(bench: LocalBench) -> None:
    """It points nowhere, and so to nothing outside."""
    app = write_app(bench.folder / "app")
    (app / "round").symlink_to("round")
    image = await build(bench)
    await bench.images.verify(image.digest)


async def test_things_that_are_no_files_are_refused_by_name(bench: LocalBench) -> None:
    """A pipe would hang who reads it."""
    os.mkfifo(write_app(bench.folder / "app") / "pipe")
    with pytest.raises(BuildFailed, match="pipe"):
        await build(bench)


def write_bad_name(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/bad-\xff")).write_text("x")


async def test_a_name_that_is_not_utf8_is_refused(bench: LocalBench) -> None:
    """It could not be in a manifest."""
    app = write_app(bench.folder / "app")
    write_bad_name(app)
    with pytest.raises(BuildFailed, match="UTF-8"):
        await build(bench)


async def test_an_empty_folder_and_an_absent_one_fail_by_name(bench: LocalBench) -> None:
    """An image of nothing is a mistake in the service file."""
    (bench.folder / "app").mkdir()
    with pytest.raises(BuildFailed, match="no files"):
        await build(bench)
    with pytest.raises(BuildFailed, match="nowhere"):
        await build(bench, Directory("nowhere"))


async def test_a_folder_of_our_own_name_is_refused(bench: LocalBench) -> None:
    """What Bleen adds never mixes with what the application has."""
    (write_app(bench.folder / "app") / ".runtime").mkdir()
    with pytest.raises(BuildFailed, match="runtime"):
        await build(bench)


async def test_python_that_does_not_compile_is_carried_as_it_is(bench: LocalBench) -> None:
    """Templates and files for other Pythons are content like any other."""
    (write_app(bench.folder / "app") / "template.py").write_text("{{ cookiecutter }} not python\n")
    await bench.images.verify((await build(bench)).digest)


async def test_requirements_are_installed_beside_the_application(bench: LocalBench) -> None:
    """They are locked by hash, and importable."""
    write_app(bench.folder / "app")
    (bench.folder / "app" / "hello.py").write_text("import iniconfig; print(iniconfig.__name__)\n")
    (bench.folder / "requirements.txt").write_text(
        "iniconfig==2.0.0 --hash=sha256:b6a85871a79d2e3b22d2d1b94ac2824226a63c6b741c88f7ae975f18b6778374\n"
    )
    image = await build_or_skip(bench.images, Directory("app", requirements="requirements.txt"), bench.folder)
    assert output(bench, image, "python", "-m", "hello") == "iniconfig\n"


async def test_requirements_without_hashes_are_refused(bench: LocalBench) -> None:
    """The same file would be another image tomorrow."""
    write_app(bench.folder / "app")
    (bench.folder / "requirements.txt").write_text("iniconfig==2.0.0\n")
    with pytest.raises(BuildFailed) as caught:
        await build(bench, Directory("app", requirements="requirements.txt"))
    assert "--generate-hashes" in caught.value.next
    with pytest.raises(BuildFailed, match=r"other\.txt"):
        await build(bench, Directory("app", requirements="other.txt"))


async def test_a_folder_of_other_programs_runs_them(bench: LocalBench) -> None:
    """A script in its `bin` is found by name, one at its top by path."""
    app = bench.folder / "app"
    (app / "bin").mkdir(parents=True)
    for path in (app / "bin" / "greet", app / "start"):
        path.write_text("#!/bin/sh\necho hello\n")
        path.chmod(0o755)
    image = await build(bench)
    tree = bench.images.tree(image.digest)
    environment = process_environment(image, str(tree))
    assert image.runtime == ""
    assert output(bench, image, "greet") == "hello\n"
    assert find_command("greet", environment, tree) == tree / "bin" / "greet"
    assert find_command("./start", environment, tree) == tree / "start"
    for absent in ("nothing", "./nothing", "./bin"):
        with pytest.raises(NotFound, match=r"nothing|bin"):
            find_command(absent, environment, tree)


def test_an_image_of_another_python_is_not_started() -> None:
    """The machine was upgraded since: say so, and how to go on."""
    image = Image(f"sha256:{0:064x}", "hello", "1", "2026-01-01T00:00:00Z", 1, 1, runtime="cpython-2.7")
    for ask in (lambda: machine_folders(image), lambda: process_environment(image, "/tree")):
        with pytest.raises(StartFailed, match=r"cpython-2\.7") as caught:
            ask()
        assert caught.value.next
