"""`bleen image ...`, and recipes of base images: what they print, and what they refuse."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bleen.domain.errors import InvalidInput
from bleen.domain.finding import Finding, Severity
from bleen.domain.patching import Fix
from bleen.interfaces.repository import InvalidFiles, find_recipe, find_service, validate_path
from bleen.settings import read_settings
from tests.interfaces.conftest import Bleen, write_service
from tests.interfaces.estate import Estate

RECIPE = """\
image: little
suite: bookworm
packages: [tool, ca-certificates]
{more}"""
SINCE = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def recipe(repository: Path) -> Path:
    """A recipe ``little``, and a service ``hello`` that runs on it."""
    file = write_recipe(repository)
    service = repository / "applications/hello/service.yaml"
    service.write_text(service.read_text().replace("  path: app\n", "  path: app\n  base: little\n"))
    return file


def write_recipe(root: Path, more: str = "") -> Path:
    folder = root / "infrastructure/images"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "little.yaml").write_text(RECIPE.format(more=more))
    return folder / "little.yaml"


# ---- recipes ----


@pytest.mark.usefixtures("recipe")
def test_a_service_comes_with_its_base(repository: Path) -> None:
    """Loaded from the recipe that it names; a service that names none has none."""
    base = find_service(repository, "hello").base
    assert base is not None
    assert (base.recipe.image, base.folder) == ("little", str(repository / "infrastructure/images"))
    write_service(repository, name="other")
    assert find_service(repository, "other").base is None
    assert validate_path(repository) == []


@pytest.mark.parametrize(
    ("change", "line", "what"),
    [
        (("packages:", "package:"), 3, "`package` is no key of a recipe"),
        (("suite: bookworm", "suite: 12"), 2, "`suite` must be text"),
        (("[tool, ca-certificates]", "[]"), 3, "`packages` is an empty list"),
        (("[tool, ca-certificates]", "[Tool]"), 3, "`packages[0]` cannot be `Tool`"),
        (("image: little", "image: large"), 1, "the image is called `large`"),
        (("suite:", "patches: always\nsuite:"), 2, "`patches` cannot be `always`"),
        (("suite:", "hardening: {remove_packages: [tool]}\nsuite:"), 4, "`tool` is asked for and taken out"),
        (("suite:", "benchmark: cis-level-1\nsuite:"), 2, "`benchmark: cis-level-1` needs a whole system"),
        (("suite:", "boot: true\nsuite:"), 2, "`boot: true` needs a whole system"),
        (("suite:", "boot: sometimes\nsuite:"), 2, "`boot` must be `true` or `false`"),
        (("suite:", "builder: chroot\nsuite:"), 2, "`builder` cannot be `chroot`"),
        (
            ("suite:", "builder: full\nhardening: {remove_packages: [debconf]}\nsuite:"),
            3,
            "`debconf` cannot be left out of a whole system",
        ),
        (("suite:", "mirror: {address: 'https://m.example/d', keyring: no.gpg}\nsuite:"), 2, "`no.gpg` is not there"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_named_by_line(recipe: Path, change: tuple[str, str], line: int, what: str) -> None:
    """So that nobody has to guess; by itself, with the repository, and when a service needs it."""
    recipe.write_text(recipe.read_text().replace(*change))
    (problem,) = validate_path(recipe)
    assert (problem.file, problem.line) == (str(recipe), line)
    assert what in problem.what
    assert problem.instead
    root = recipe.parents[2]
    assert problem in validate_path(root)
    with pytest.raises(InvalidFiles):
        find_recipe(root, "little")
    with pytest.raises(InvalidFiles, match=r"little\.yaml"):
        find_service(root, "hello")


def test_a_base_that_is_not_there_is_a_problem_of_the_service(recipe: Path) -> None:
    """At its line, with the name that was probably meant."""
    service = recipe.parents[2] / "applications/hello/service.yaml"
    service.write_text(service.read_text().replace("base: little", "base: litle"))
    (problem,) = validate_path(service)
    assert (problem.line, problem.what.startswith("there is no recipe litle")) == (5, True)
    assert problem.instead == "did you mean little?"


def test_the_schema_of_recipes_can_be_had(bleen: Bleen) -> None:
    """For editors; what there is none of is refused."""
    assert bleen("schema", "image").json["title"] == "Bleen image file"
    assert "there is service, image, policy" in bleen("schema", "nonsense").err


# ---- build, show, diff ----


@pytest.mark.usefixtures("recipe", "estate")
def test_a_base_is_built_by_the_name_of_its_recipe(bleen: Bleen) -> None:
    """Each stage is shown; the second time it is cached."""
    first, second = bleen("image", "build", "little"), bleen("image", "build", "little", "--json").json
    assert first.code == 0 and "base" in first.out and "little 1 is" in first.out
    assert [stage["cached"] for stage in second["stages"]] == [True]
    assert second["image"]["base"] == "scratch"


@pytest.mark.usefixtures("recipe", "estate")
def test_the_image_of_a_service_is_built_with_its_base(bleen: Bleen) -> None:
    """And shown with the packages that it stands on."""
    built = bleen("image", "build", "hello", "--json").json
    gates = ["scan", "compliance", "publish"]
    base = ["fetch", "base", "hardening", "patches", "runtime", *gates]
    assert [stage["name"] for stage in built["stages"]] == [*base, "application", *gates]
    shown = bleen("image", "show", built["image"]["digest"][7:19]).out
    assert "tool 1.0  bookworm" in shown and "serve" in shown
    assert bleen("image", "show", "hello").out == shown
    listed = bleen("image", "list", "--json").json["images"]
    assert {image["name"] for image in listed} == {"little", "hello"}


@pytest.mark.usefixtures("recipe", "estate")
def test_two_images_are_compared_by_packages_and_files(bleen: Bleen, repository: Path) -> None:
    """What was added, what moves; and nothing, where nothing differs."""
    before = bleen("image", "build", "hello", "--json").json["image"]["digest"]
    write_recipe(repository).write_text(RECIPE.format(more="").replace("ca-certificates", "libtool"))
    after = bleen("image", "build", "hello", "--json").json["image"]["digest"]
    said = bleen("image", "diff", before, after).out
    assert "+ libtool 1.0" in said and "- ca-certificates 1.0" in said and "to move" in said
    assert bleen("image", "diff", before, "hello").out == said
    assert [p["name"] for p in bleen("image", "diff", before, after, "--json").json["added"]] == ["libtool"]
    assert bleen("image", "diff", after, after).out == "nothing differs\n"


@pytest.mark.usefixtures("recipe", "estate")
@pytest.mark.parametrize(("name", "what"), [("nothing", "there is no service nothing"), ("litle", "there is no service litle")])
def test_what_cannot_be_built_is_said(bleen: Bleen, name: str, what: str) -> None:
    """A name that is neither a recipe's nor a service's."""
    typed = bleen("image", "build", name)
    assert typed.code == 2 and what in typed.err


@pytest.mark.usefixtures("recipe")
def test_a_package_that_does_not_exist_ends_the_build(bleen: Bleen, estate: Estate) -> None:
    """The error of the builder, word for word, with its exit code."""
    estate.bases.lose("tool")
    typed = bleen("image", "build", "hello")
    assert typed.code == 2 and "there is no package tool" in typed.err


# ---- what is seen of a build ----


@pytest.mark.usefixtures("recipe")
def test_a_deployment_shows_the_stages_of_its_build(bleen: Bleen, estate: Estate) -> None:
    """In their order, as they end; programs are told the result alone."""
    estate.builder.seconds = 0.5
    typed = bleen("deploy", "hello", "--detach")
    assert typed.code == 0, typed.err
    shown = [line.split()[1] for line in typed.out.splitlines() if "of little" in line]
    assert shown == ["fetch", "base", "hardening", "patches", "runtime"]
    assert "nothing found" in typed.out and "published" not in typed.err


@pytest.mark.usefixtures("recipe")
def test_a_build_under_way_is_part_of_the_status(bleen: Bleen, estate: Estate) -> None:
    """With its stage, before the service has any release; afterwards it is gone."""
    estate.builder.seconds = 0.6
    with ThreadPoolExecutor() as pool:
        deploying = pool.submit(bleen, "deploy", "hello", "--json")
        seen = ""
        while not deploying.done() and "building hello in dev: patches" not in seen:
            seen = bleen("status").out
        assert "building hello in dev: patches" in seen and "3 stages done" in seen
        assert deploying.result().code == 0
    assert "building" not in bleen("status").out


@pytest.mark.usefixtures("recipe")
def test_a_blocked_image_is_scanned_by_the_digest_of_its_candidate(bleen: Bleen, estate: Estate) -> None:
    """The refusal names it; it is not among the images."""
    hole = Finding("CVE-2026-1", Severity.CRITICAL, "a hole", "libfoo", "1.0", "1.1", fix="use libfoo 1.1")
    estate.scanner.find("1", hole)
    blocked = bleen("image", "build", "little")
    assert blocked.code == 1 and "CVE-2026-1 in libfoo 1.0 fixed in 1.1" in " ".join(blocked.err.split())
    (digest,) = {word for word in blocked.err.split() if word.startswith("sha256:")}
    scanned = bleen("image", "scan", digest)
    assert scanned.code == 1 and "BLOCKED: little may not be released" in scanned.out
    assert bleen("image", "list", "--json").json["images"] == []


# ---- without a mirror ----


@pytest.mark.usefixtures("recipe")
def test_without_a_mirror_nothing_is_built_unless_the_recipe_says_so(bleen: Bleen, estate: Estate, repository: Path) -> None:
    """A refusal by default: nobody gets an unpatched system by an accident of the network."""
    estate.bases.take_mirror()
    refused = bleen("deploy", "hello")
    assert refused.code == 3 and "mirror does not answer" in refused.err
    assert bleen("image", "list", "--json").json["images"] == []
    write_recipe(repository, "without_mirror: host\n")
    deployed = bleen("deploy", "hello")
    assert deployed.code == 0, deployed.err
    assert "host-based, because no mirror answered" in " ".join(deployed.out.split())
    (image,) = bleen("image", "list", "--json").json["images"]
    assert image["base"] == "host"


@pytest.mark.usefixtures("recipe")
def test_a_build_without_a_mirror_says_what_host_based_means(bleen: Bleen, estate: Estate, repository: Path) -> None:
    """Among its stages; a base alone is refused all the same: there is nothing to build it of."""
    write_recipe(repository, "without_mirror: host\n")
    estate.bases.take_mirror()
    assert "this machine's own interpreter" in " ".join(bleen("image", "build", "hello").out.split())
    assert bleen("image", "build", "little").code == 3


# ---- care ----


@pytest.mark.usefixtures("recipe", "estate")
def test_what_runs_and_its_base_are_never_removed(bleen: Bleen) -> None:
    """Not by name, and not by `prune`: the reason is given."""
    bleen("deploy", "hello")
    images = bleen("image", "list", "--json").json["images"]
    for image in images:
        typed = bleen("image", "remove", image["digest"])
        assert typed.code == 3 and "is needed" in typed.err
    assert "nothing to remove" in bleen("image", "prune").out
    assert "runs as hello r1" in bleen("image", "prune", "--dry-run").out
    assert bleen("image", "list", "--json").json["images"] == images


@pytest.mark.usefixtures("recipe", "estate")
def test_what_nothing_needs_is_pruned(bleen: Bleen, repository: Path) -> None:
    """A build that was never released, and was followed by another one, together with the base that it alone stood on."""
    old = bleen("image", "build", "hello", "--json").json["image"]
    write_recipe(repository).write_text(RECIPE.format(more="").replace("ca-certificates", "libtool"))
    bleen("image", "build", "hello")
    assert bleen("image", "prune", "--dry-run", "--json").json["removed"] == []
    gone = bleen("image", "prune", "--json").json["removed"]
    assert gone == [old["digest"], old["base"]]
    assert len(bleen("image", "list", "--json").json["images"]) == 2


@pytest.mark.usefixtures("recipe")
def test_the_status_tells_which_fixes_are_pending_and_how_late_they_are(bleen: Bleen, estate: Estate) -> None:
    """For each service that runs."""
    bleen("deploy", "hello")
    assert "nothing is pending" in bleen("image", "status").out
    estate.bases.publish(Fix("tool", "tool", "1.0", "1.1", SINCE))
    said = bleen("image", "status").out
    assert "1 fix pending, overdue by" in said and "tool 1.0 -> 1.1" in said
    (service,) = bleen("image", "status", "--json").json["services"]
    assert service["patching"]["fixes"][0]["package"] == "tool"


@pytest.mark.usefixtures("recipe", "estate")
def test_a_platform_without_files_exports_nothing(bleen: Bleen, tmp_path: Path) -> None:
    """It says why."""
    digest = bleen("image", "build", "hello", "--json").json["image"]["digest"]
    typed = bleen("image", "export", digest, str(tmp_path / "out"))
    assert typed.code == 2 and "in memory" in typed.err


# ---- patches ----


@pytest.mark.usefixtures("recipe", "estate")
def test_patching_is_shown_and_asked_for(bleen: Bleen) -> None:
    """Nothing is asked for without `--now`; with it, who asked and for what is shown, by `status` too."""
    bleen("deploy", "hello")
    assert bleen("image", "patch").out == "patching: nobody does it here\n"
    assert "because" in bleen("image", "patch", "--now", "little").out
    said = bleen("image", "status").out
    assert "patching: little is built anew, because" in said and "next: when somebody asks" in said
    assert bleen("image", "patch", "--json").json["state"]["agenda"]["asked"]["base"] == "little"


@pytest.mark.usefixtures("recipe", "estate")
@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("little",), "bleen image patch --now little"),
        (("--now", "large"), "nothing that runs stands on large"),
    ],
)
def test_what_cannot_be_patched_is_said(bleen: Bleen, words: tuple[str, ...], what: str) -> None:
    """A base without a word to begin, and one that nothing stands on."""
    bleen("deploy", "hello")
    typed = bleen("image", "patch", *words)
    assert typed.code == 2 and what in typed.err


@pytest.mark.usefixtures("estate")
def test_services_on_the_machine_itself_are_not_patched(bleen: Bleen) -> None:
    """There is no base to build."""
    bleen("deploy", "hello")
    typed = bleen("image", "patch", "--now")
    assert typed.code == 2 and "nothing that runs stands on a base" in typed.err


@pytest.mark.parametrize(
    ("name", "value"), [("BLEEN_PATCH_WATCH", "often"), ("BLEEN_PATCH_WATCH", "5s"), ("BLEEN_PATCH_DAY", "31")]
)
def test_a_timetable_that_cannot_be_kept_is_refused(name: str, value: str) -> None:
    """By the name of its variable."""
    with pytest.raises(InvalidInput, match=name):
        read_settings({name: value})


def test_the_timetable_comes_from_the_environment() -> None:
    """Off is off; the rest is as it is written."""
    assert read_settings({"BLEEN_PATCH_WATCH": "off"}).patches.every is None
    found = read_settings({"BLEEN_PATCH_DAY": "0", "BLEEN_PATCH_ENVIRONMENTS": "test,live", "BLEEN_PATCH_SOAK": "2d"}).patches
    assert (found.day, found.environments, str(found.soak), str(found.every)) == (0, ("test", "live"), "2d", "1h")
