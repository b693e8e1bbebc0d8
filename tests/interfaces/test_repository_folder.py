"""A repository as a whole: what refers to what, and who is called what."""

from pathlib import Path

import pytest

from bleen.domain.errors import InvalidInput, NotFound
from bleen.domain.image import Pypi
from bleen.domain.release import config_digest
from bleen.interfaces.repository import (
    InvalidFiles,
    Problem,
    find_root,
    find_service,
    load_service,
    render,
    runtime_of,
    services,
    validate_path,
    with_version,
)
from bleen.interfaces.repository.references import LARGEST_CONFIG

LOCKED = (
    'service: {name}\nimage: {{type: pypi, package: x, version: "1", lock: l.txt}}\ncommand: [x, "{{address}}", "{{port}}"]\n'
)
HEAD = "service: {name}\nimage: {{type: directory, path: app}}\ncommand: [python, x.py]\n"


def add(root: Path, name: str, more: str = "", head: str = HEAD) -> Path:
    """Return the file of a new service."""
    folder = root / "applications" / name
    (folder / "app").mkdir(parents=True)
    (folder / "app/x.py").write_text("")
    (folder / "service.yaml").write_text(head.format(name=name) + more)
    return folder / "service.yaml"


def only(problems: list[Problem]) -> Problem:
    (problem,) = problems
    return problem


def test_a_good_repository_has_no_problems(tmp_path: Path) -> None:
    """Neither has one of its services, named by file or by folder."""
    file = add(tmp_path, "one")
    add(tmp_path, "two")
    assert validate_path(tmp_path) == validate_path(file) == validate_path(file.parent) == []


def test_every_file_is_looked_at(tmp_path: Path) -> None:
    """A broken file does not hide the next one."""
    for name in ("one", "two"):
        add(tmp_path, name, "prot: 1\n")
    assert [(Path(p.file).parent.name, p.line) for p in validate_path(tmp_path)] == [("one", 4), ("two", 4)]


def test_two_services_on_one_host_are_both_named(tmp_path: Path) -> None:
    """Each file is told of the other, with both lines."""
    one = add(tmp_path, "one", "hosts:\n  - shop.example\n")
    two = add(tmp_path, "two", "instances: 1\nhosts: [x.example, shop.example]\n")
    first, second = validate_path(tmp_path)
    assert (first.where, second.where) == (f"{one}:5", f"{two}:5")
    assert f"{two}:5 (two)" in first.why
    assert f"{one}:5 (one)" in second.why
    assert "belongs to two services" in first.what
    assert [p.file for p in validate_path(one)] == [str(one)]


def test_the_default_host_of_another_service_is_taken(tmp_path: Path) -> None:
    """A host that nobody wrote down is a host."""
    add(tmp_path, "one")
    add(tmp_path, "two", "hosts: [one.localhost]\n")
    assert len(validate_path(tmp_path)) == 2


def test_a_service_is_called_like_its_folder(tmp_path: Path) -> None:
    """Or `bleen deploy NAME` would find another one."""
    file = add(tmp_path, "one")
    file.write_text(file.read_text().replace("service: one", "service: uno"))
    problem = only(validate_path(tmp_path))
    assert (problem.line, problem.instead) == (1, "service: one")


@pytest.mark.parametrize(
    ("more", "line", "what", "instead"),
    [
        ("files: {a: app/x.yp}\n", 4, "`app/x.yp` is not there", "x.py"),
        ("files: {a: app}\n", 4, "`app` is no file", ""),
        ("files:\n  a: ../../../etc\n", 5, "leads out of the repository", "inside"),
        ("files:\n  ok: app/x.py\n  link: app/away\n", 6, "leads out of the repository", "inside"),
        ("files: {a: app/x.py, a/b: app/x.py}\n", 4, "a file here and a folder in `a/b`", "another name"),
        ("files: {a: binary}\n", 4, "`binary` is not UTF-8 text", ""),
        ("files:\n  a: app/x.py\n  b: large\n", 6, "larger than 256 KiB", "image"),
    ],
)
def test_a_reference_that_leads_nowhere_is_refused_at_its_line(
    tmp_path: Path, more: str, line: int, what: str, instead: str
) -> None:
    """Files exist, stay inside the repository, and are text of a sane size."""
    folder = add(tmp_path, "one", more).parent
    (folder / "app/away").symlink_to("/etc/hostname")
    (folder / "binary").write_bytes(b"\x00\xff")
    (folder / "large").write_bytes(b"x" * (LARGEST_CONFIG + 1))
    problem = only(validate_path(tmp_path))
    assert problem.line == line
    assert what in problem.what
    assert instead in problem.instead


def test_the_folder_of_an_image_must_be_one(tmp_path: Path) -> None:
    """`path: ap` where there is `app` is answered with `app`."""
    file = add(tmp_path, "one")
    file.write_text(file.read_text().replace("path: app", "path: ap"))
    problem = only(validate_path(tmp_path))
    assert (problem.line, problem.instead) == (2, "app")


def test_a_requirement_without_a_hash_is_refused_in_its_own_file(tmp_path: Path) -> None:
    """The line is that of the requirements file, which is where to mend it."""
    file = add(tmp_path, "one")
    file.write_text(file.read_text().replace("path: app", "path: app, requirements: r.txt"))
    locked = "a==1 \\\n    --hash=sha256:00\n# words\n--no-binary :none:\n"
    (file.parent / "r.txt").write_text(locked)
    assert validate_path(tmp_path) == []
    (file.parent / "r.txt").write_text(locked + "b==2\n")
    problem = only(validate_path(tmp_path))
    assert problem.where == f"{file.parent / 'r.txt'}:5"
    assert problem.what == "`b==2` has no hash"


def test_a_lock_may_be_absent_until_the_first_build(tmp_path: Path) -> None:
    """The first build makes it; nobody can have it before."""
    add(tmp_path, "one", head=LOCKED)
    assert validate_path(tmp_path) == []


def test_a_file_with_nearly_the_right_name_is_not_ignored_silently(tmp_path: Path) -> None:
    """service.yml is told what it should be called."""
    file = add(tmp_path, "one")
    add(tmp_path, "two")
    file.rename(file.with_name("service.yml"))
    problem = only(validate_path(tmp_path))
    assert "service.yaml" in problem.instead


def test_a_path_that_is_not_there_is_a_problem_too(tmp_path: Path) -> None:
    """So is a folder that is in no repository."""
    assert "no such file" in only(validate_path(tmp_path / "x")).what
    assert "is in no GitOps repository" in only(validate_path(tmp_path)).what


def test_the_repository_is_found_from_any_folder_inside(tmp_path: Path) -> None:
    """As git does it."""
    file = add(tmp_path, "one")
    assert find_root(file.parent / "app") == tmp_path
    assert services(tmp_path) == (file,)
    with pytest.raises(NotFound, match="bleen init"):
        find_root(Path("/"))


def test_a_service_that_does_not_exist_is_answered_with_those_that_do(tmp_path: Path) -> None:
    """And with the one that was probably meant."""
    add(tmp_path, "hello")
    assert find_service(tmp_path, "hello").service.service == "hello"
    with pytest.raises(NotFound) as caught:
        find_service(tmp_path, "helo")
    assert caught.value.next == "did you mean hello?"


def test_an_invalid_file_cannot_be_loaded(tmp_path: Path) -> None:
    """The error has the first problem in its words, and all of them in itself."""
    file = add(tmp_path, "one", "port: 1\ninstances: 0\n")
    with pytest.raises(InvalidFiles) as caught:
        load_service(file)
    assert len(caught.value.problems) == 2
    assert str(caught.value).startswith(f"{file}:4: `port` is 1 (and 1 more): it must be a whole number from 1024 to 65535\n")


def test_a_warning_does_not_stop_a_deployment(tmp_path: Path) -> None:
    """It travels with what was loaded."""
    loaded = load_service(add(tmp_path, "one", "env: {TOKEN: abc}\n"))
    assert "looks like a secret" in loaded.problems[0].what


def test_configuration_files_are_part_of_the_release(tmp_path: Path) -> None:
    """Their text is in the runtime, so a changed file is another release."""
    file = add(tmp_path, "one", "files: {conf/a.toml: a.toml}\nenv: {X: y}\n")
    (file.parent / "a.toml").write_text("x = 1\r\n", newline="")
    runtime = runtime_of(load_service(file))
    assert runtime.files == {"conf/a.toml": "x = 1\r\n"}
    assert (runtime.env, runtime.port, runtime.command) == ({"X": "y"}, 8080, ("python", "x.py"))
    (file.parent / "a.toml").write_text("x = 2\n")
    assert config_digest(runtime_of(load_service(file))) != config_digest(runtime)


def test_another_version_leaves_the_lock_of_the_first(tmp_path: Path) -> None:
    """A lock pins one version; the store has those of the others."""
    service = load_service(add(tmp_path, "one", head=LOCKED)).service
    assert with_version(service, "1") == service
    assert with_version(service, "2").image == Pypi(package="x", version="2")
    with pytest.raises(InvalidInput, match="latest"):
        with_version(service, "latest")


def test_a_folder_has_no_versions_to_choose_from(tmp_path: Path) -> None:
    """`--version` on it is refused, not ignored."""
    with pytest.raises(InvalidInput, match="no versions to choose from"):
        with_version(load_service(add(tmp_path, "one")).service, "2")


def test_a_problem_is_shown_as_a_link_with_its_reason_and_remedy(tmp_path: Path) -> None:
    """``file:line``, below it why and what to write, relative to where one stands."""
    file = add(tmp_path, "one", "instancs: 3\n")
    shown = render(only(validate_path(file)), tmp_path)
    assert shown.splitlines()[0] == "applications/one/service.yaml:4: `instancs` is no key of a service"
    assert shown.splitlines()[1].startswith("  why: its keys are service,")
    assert shown.splitlines()[2] == "  write: instances:"
