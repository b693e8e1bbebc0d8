"""A GitOps repository: ``applications/<name>/service.yaml``, and what these files refer to."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import combinations
from pathlib import Path

from msgspec import ValidationError, structs

from bleen.domain.base import HOST, BaseOrder
from bleen.domain.codec import convert, plain
from bleen.domain.errors import InvalidInput, NotFound
from bleen.domain.image import Npm, Pypi, Source
from bleen.domain.release import Runtime
from bleen.domain.service import Service
from bleen.interfaces.repository.calendars import CALENDARS, examine_calendars
from bleen.interfaces.repository.channels import CHANNELS, examine_channels
from bleen.interfaces.repository.document import Document, plain_value, read_document
from bleen.interfaces.repository.policy import POLICY, examine_policy
from bleen.interfaces.repository.problem import InvalidFiles, Problem, errors, in_order
from bleen.interfaces.repository.recipes import RECIPES, examine_recipe, find_recipe, recipes
from bleen.interfaces.repository.references import broken_references, read_config
from bleen.interfaces.repository.sense import contradictions, line_of
from bleen.interfaces.repository.shape import mismatches

APPLICATIONS = "applications"
SERVICE_FILE = "service.yaml"


@dataclass(frozen=True, slots=True)
class LoadedService:
    """A service and where it was read from."""

    service: Service
    folder: Path
    """What its paths are relative to."""
    path: Path
    problems: tuple[Problem, ...] = ()
    """Warnings: what was hardly meant, and can be deployed."""
    base: BaseOrder | None = None
    """What it runs on; None: the machine itself."""


def find_root(start: Path) -> Path:
    """Return the repository that ``start`` is in: the nearest folder with ``applications/*/service.yaml``; NotFound."""
    start = start.absolute()
    for folder in (start, *start.parents):
        if services(folder):
            return folder
    raise NotFound(
        f"{start} is in no GitOps repository",
        why=f"neither it nor a folder above it has {APPLICATIONS}/<name>/{SERVICE_FILE}",
        next="bleen init writes an example",
    )


def find_repository(start: Path) -> Path:
    """Return the repository that ``start`` is in, which may have no service yet, but recipes of base images; NotFound."""
    start = start.absolute()
    return next((folder for folder in (start, *start.parents) if recipes(folder) or services(folder)), None) or find_root(start)


def services(root: Path) -> tuple[Path, ...]:
    """Return the service files of the repository, by name."""
    return tuple(sorted((root / APPLICATIONS).glob(f"*/{SERVICE_FILE}")))


def find_service(root: Path, name: str) -> LoadedService:
    """Return the service called ``name``; NotFound says which there are, InvalidFiles what is wrong with its file."""
    known = {path.parent.name: path for path in services(root)}
    if name in known:
        return load_service(known[name])
    near = get_close_matches(name, known, n=1)
    raise NotFound(
        f"there is no service {name} in {root}",
        why=f"there is {', '.join(known)}" if known else f"{root / APPLICATIONS} is empty",
        next=f"did you mean {near[0]}?" if near else "bleen validate lists what is wrong with the repository",
    )


def load_service(path: Path) -> LoadedService:
    """Return the service of a file, or of the folder with its `service.yaml`; InvalidFiles carries every problem."""
    file = path / SERVICE_FILE if path.is_dir() else path
    loaded, problems = _examine(file.absolute())
    if loaded is None or errors(problems):
        raise InvalidFiles(errors(problems))
    return loaded


def runtime_of(loaded: LoadedService) -> Runtime:
    """Return how a release of the service runs, with the text of its configuration files inside."""
    service = loaded.service
    try:
        files = read_config(service, loaded.folder)
    except (OSError, UnicodeDecodeError) as error:
        problem = Problem(str(loaded.path), 0, 0, "a configuration file changed while it was read", str(error))
        raise InvalidFiles([problem]) from error
    return Runtime(
        command=service.command,
        port=service.port,
        health=service.health,
        stop=service.stop,
        env=service.env,
        files=files,
    )


def with_version(service: Service, version: str) -> Service:
    """Return ``service`` with that version of its package; InvalidInput where its image has none to choose."""
    image = service.image
    if not isinstance(image, Pypi | Npm):
        raise InvalidInput(
            f"{service.service} has no versions to choose from",
            why="its image is made of files of the repository",
            next=f"check out the version that you want, then bleen deploy {service.service}",
            where="--version",
        )
    if version == image.version:
        return service
    # A lock belongs to the version that it was made for; the image store remembers the one of each version it built.
    changed = {**plain(image), "version": version} | ({"lock": None} if isinstance(image, Pypi) else {})
    try:
        return structs.replace(service, image=convert(changed, Source))
    except ValidationError as error:
        why = f"a version of {image.package} is exact, such as {image.version}"
        raise InvalidInput(f"`{version}` is no version", why=why, where="--version") from error


def validate_path(path: Path) -> list[Problem]:
    """Return what is wrong with a service file, with the folder of one, or with a whole repository; in order of place."""
    path = path.absolute()
    if not path.exists():
        return [Problem(str(path), 0, 0, "there is no such file or folder")]
    file = path / SERVICE_FILE if path.is_dir() else path
    if file.parent.match(RECIPES) and file.is_file():
        return in_order(examine_recipe(file)[1])
    if file.match(str(POLICY)) and file.is_file():
        return in_order(examine_policy(file)[1])
    if file.match(str(CALENDARS)) and file.is_file():
        return in_order(examine_calendars(file)[1])
    if file.match(str(CHANNELS)) and file.is_file():
        return in_order(examine_channels(file)[1])
    if file.exists():
        root = _root_of(file)
        mine = _examine(file)[1] if file not in services(root) else []
        return in_order([*mine, *(p for p in _examine_all(root) if p.file == str(file) or _belongs(p, file))])
    try:
        return in_order(_examine_all(find_root(path)))
    except NotFound as error:
        return [Problem(str(path), 0, 0, error.what, error.why, error.next), *_misnamed(path)]


def _examine(file: Path) -> tuple[LoadedService | None, list[Problem]]:
    """Return the service, if its file has the right shape, and every problem of it."""
    document = read_document(file)
    problems = [*document.problems, *mismatches(document, Service)]
    if problems or document.root is None:
        return None, in_order(problems)
    service: Service = convert(plain_value(document.root), Service)
    problems += contradictions(document, service)
    problems += _other_name(document, service, file)
    problems += broken_references(document, service, file.parent, _root_of(file))
    base, wrong = _base(document, service, _root_of(file))
    problems += wrong
    return LoadedService(service, file.parent, file, tuple(problems), base), in_order(problems)


def _base(document: Document, service: Service, root: Path) -> tuple[BaseOrder | None, list[Problem]]:
    """Return the base that the service names, and what is wrong with that name or with the recipe."""
    name = service.image.base
    if name == HOST:
        return None, []
    try:
        return find_recipe(root, name).order(), []
    except NotFound as error:
        line = line_of(document, "image", "base")
        return None, [Problem(str(document.file), line, 1, error.what, error.why, error.next)]
    except InvalidFiles as error:
        return None, list(error.problems)


def _examine_all(root: Path) -> list[Problem]:
    found = _misnamed(root)
    loaded = []
    for file in services(root):
        service, problems = _examine(file)
        found += problems
        loaded += [service] if service else []
    for path in recipes(root):
        found += examine_recipe(path)[1]
    if (root / POLICY).exists():
        found += examine_policy(root / POLICY)[1]
    if (root / CALENDARS).exists():
        found += examine_calendars(root / CALENDARS)[1]
    if (root / CHANNELS).exists():
        found += examine_channels(root / CHANNELS)[1]
    return [*found, *_shared_hosts(loaded)]


def _shared_hosts(loaded: list[LoadedService]) -> Iterator[Problem]:
    for one, other in combinations(loaded, 2):
        for host in sorted({*one.service.host_names} & {*other.service.host_names}):
            for here, there in ((one, other), (other, one)):
                line = _line_of_host(here, host)
                why = f"{there.path}:{_line_of_host(there, host)} ({there.service.service}) has it too"
                instead = f"hosts: [{here.service.service}.localhost]" if here.service.hosts else "hosts: [another name]"
                yield Problem(str(here.path), line, 1, f"the host name `{host}` belongs to two services", why, instead)


def _line_of_host(loaded: LoadedService, host: str) -> int:
    document = read_document(loaded.path)
    if host in loaded.service.hosts:
        return line_of(document, "hosts", str(loaded.service.hosts.index(host)))
    return line_of(document, "service")


def _other_name(document: Document, service: Service, file: Path) -> Iterator[Problem]:
    folder = file.parent
    if folder.parent.name == APPLICATIONS and folder.name != service.service:
        what = f"the service is called `{service.service}`, and its folder `{folder.name}`"
        why = "`bleen deploy NAME` finds a service by its folder"
        yield Problem(str(file), line_of(document, "service"), 1, what, why, f"service: {folder.name}")


def _misnamed(root: Path) -> list[Problem]:
    """Files that were meant to be service files."""
    found = []
    for folder in sorted((root / APPLICATIONS).glob("*/")):
        for name in ("service.yml", "Service.yaml", "service.json", "services.yaml"):
            if (folder / name).exists() and not (folder / SERVICE_FILE).exists():
                why = f"only {SERVICE_FILE} is read"
                found.append(Problem(str(folder / name), 0, 0, "this file is not read", why, f"the same in {SERVICE_FILE}"))
    return found


def _belongs(problem: Problem, file: Path) -> bool:
    """Whether the problem is in a file beside ``file``, such as its requirements."""
    return Path(problem.file).is_relative_to(file.parent)


def _root_of(file: Path) -> Path:
    """Return the repository of a service file; its own folder where it stands alone."""
    folder = file.absolute().parent
    return folder.parent.parent if folder.parent.name == APPLICATIONS else folder
