"""The files that people write: reading, checking, explaining and starting a GitOps repository."""

from bleen.interfaces.repository.folder import (
    LoadedService,
    find_repository,
    find_root,
    find_service,
    load_service,
    runtime_of,
    services,
    validate_path,
    with_version,
)
from bleen.interfaces.repository.policy import policy_around
from bleen.interfaces.repository.problem import InvalidFiles, Problem, Severity, render
from bleen.interfaces.repository.recipes import LoadedRecipe, find_recipe
from bleen.interfaces.repository.schema import schema
from bleen.interfaces.repository.sense import secrets_of
from bleen.interfaces.repository.starter import init

__all__ = [
    "InvalidFiles",
    "LoadedRecipe",
    "LoadedService",
    "Problem",
    "Severity",
    "find_recipe",
    "find_repository",
    "find_root",
    "find_service",
    "init",
    "load_service",
    "policy_around",
    "render",
    "runtime_of",
    "schema",
    "secrets_of",
    "services",
    "validate_path",
    "with_version",
]
