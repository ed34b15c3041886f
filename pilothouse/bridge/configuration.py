"""What the bridge listens to. A payload selects a repository from here, and contributes none."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

import yaml
from pydantic import (
    Field,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from pilothouse.clients.temporal.connection import TemporalConnection
from pilothouse.models.base import Contract, Declaration, explain
from pilothouse.models.errors import PermanentError
from pilothouse.models.repository import BranchName, Ref, RepositoryRef

MIN_SECRET_LENGTH = 16
MAX_SECRETS = 64
"""Each request is checked against every secret: the bound keeps a forged one cheap."""

FullName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9._-]{1,100}){1,9}$", max_length=200
    ),
]
"""`owner/name`, as the forge calls a repository."""
_REF: TypeAdapter[str] = TypeAdapter(Ref)


class WatchedRepository(Contract):
    """One repository whose webhooks are accepted."""

    repository: RepositoryRef
    full_name: FullName
    secrets: tuple[SecretStr, ...] = ()
    """Its own live secrets; empty: the bridge's."""

    @model_validator(mode="after")
    def _default_branch_is_a_ref(self) -> Self:
        _REF.validate_python(self.repository.default_ref)
        return self

    @property
    def key(self) -> str:
        """How payloads find it: forges treat names without regard to case."""
        return self.full_name.casefold()


class BridgeConfiguration(Contract):
    """Everything the bridge needs to know, given once at its start."""

    journal: Path
    """The SQLite file; its folder exists and is on a local disk."""
    repositories: tuple[WatchedRepository, ...]
    secrets: tuple[SecretStr, ...] = ()
    """Live secrets of every repository that has none of its own; two while one is rotated."""
    repositories_source: str = "the bridge's list of repositories"
    """Where a person adds a repository; named in answers."""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8420
    """0 takes a free port, which the log tells."""
    allowed_hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    """Names in the Host header that are answered; `*.example.com` allows subdomains."""
    temporal: TemporalConnection = TemporalConnection()
    max_body_bytes: Annotated[int, Field(ge=1024)] = 5 * 1024 * 1024
    body_seconds: Annotated[float, Field(gt=0)] = 10.0
    """How long a body may take to arrive; the forge gives up after 10 s as well."""
    max_connections: Annotated[int, Field(ge=1)] = 256
    """Beyond that, connections are answered 503."""
    journal_limit_bytes: Annotated[int, Field(ge=1024 * 1024)] = 1024 * 1024 * 1024
    """Beyond that, events are answered 503 rather than fill the disk."""
    retention_days: Annotated[float, Field(gt=0)] = 14.0
    """How long a sent event is remembered, hence a repeated delivery recognised."""

    @model_validator(mode="after")
    def _each_repository_has_one_name_and_a_secret(self) -> Self:
        names = Counter(watched.key for watched in self.repositories)
        twice = sorted(name for name, count in names.items() if count > 1)
        if twice:
            raise ValueError(f"configured twice: {', '.join(twice)}")
        bare = sorted(each.full_name for each in self.repositories if not each.secrets)
        if bare and not self.secrets:
            raise ValueError(f"no webhook secret for {', '.join(bare)}")
        distinct = {secret.get_secret_value() for secret in self.all_secrets()}
        if any(len(secret) < MIN_SECRET_LENGTH for secret in distinct):
            raise ValueError(f"a webhook secret needs at least {MIN_SECRET_LENGTH} characters")
        if len(distinct) > MAX_SECRETS:
            raise ValueError(
                f"{len(distinct)} different webhook secrets, and at most {MAX_SECRETS} are tried: "
                "share secrets between repositories, or run several bridges"
            )
        return self

    def all_secrets(self) -> tuple[SecretStr, ...]:
        """Every secret that is live somewhere."""
        own = tuple(secret for each in self.repositories for secret in each.secrets)
        return (*self.secrets, *own)


class _RepositoryEntry(Declaration):
    """One entry of the file that a person writes."""

    url: str
    default_branch: BranchName = "main"
    full_name: FullName | None = None
    """Left out: the URL's path."""
    secret_file: Path | None = None
    """Left out: the bridge's own secrets. Relative to the file that names it."""


class _RepositoriesFile(Declaration):
    repositories: tuple[_RepositoryEntry, ...]


def load_repositories(path: Path) -> tuple[WatchedRepository, ...]:
    """Read a YAML or JSON file `{repositories: [{url, default_branch, full_name, secret_file}]}`.

    Raises:
        PermanentError: `InvalidRequest`, with the file, the field and what to write instead.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        entries = _RepositoriesFile.model_validate(document).repositories
        return tuple(_watched(entry, path.parent) for entry in entries)
    except ValidationError as error:
        raise PermanentError("InvalidRequest", f"{path}: {explain(error)}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise PermanentError(
            "InvalidRequest", f"{path}, line {line}: not YAML: {error.problem}"
        ) from error
    except OSError as error:
        raise PermanentError(
            "InvalidRequest", f"{path} cannot be read: {error.strerror or error}"
        ) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise PermanentError("InvalidRequest", f"{path} is not UTF-8 text in YAML") from error


def load_secrets(path: Path) -> tuple[SecretStr, ...]:
    """Read live webhook secrets from a file, one a line: the old and the new one while rotating.

    Raises:
        PermanentError: `InvalidRequest`, there is no such file, or no secret in it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentError("InvalidRequest", f"secret file {path} cannot be read") from error
    secrets = tuple(SecretStr(line.strip()) for line in lines if line.strip())
    if not secrets:
        raise PermanentError(
            "InvalidRequest", f"secret file {path} is empty: put the webhook's secret on one line"
        )
    return secrets


def _watched(entry: _RepositoryEntry, folder: Path) -> WatchedRepository:
    repository = RepositoryRef(url=entry.url, default_branch=entry.default_branch)
    path = urlsplit(entry.url).path.strip("/").removesuffix(".git")
    return WatchedRepository(
        repository=repository,
        full_name=entry.full_name or path,
        secrets=load_secrets(folder / entry.secret_file) if entry.secret_file else (),
    )
