"""What the workspace server serves: the file that its operator writes."""

from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import Field, SecretStr, StringConstraints, ValidationError, model_validator

from pilothouse.models.base import Contract, Declaration, explain
from pilothouse.models.errors import PermanentError
from pilothouse.models.pipeline import Name, Namespace
from pilothouse.models.repository import BranchName, RepositoryRef
from pilothouse.workspace.keys import WorkspaceId

MIN_SECRET_LENGTH = 16
_HOST = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?$"
Host = Annotated[str, StringConstraints(pattern=_HOST)]


class Target(Declaration):
    """One environment as `exec_shell` sees it."""

    namespace: Namespace
    kubeconfig: Path | None = None
    """Credentials that can read this namespace and nothing else; without, nothing can be read."""
    context: str = ""


class WorkspaceDeclaration(Declaration):
    """One workspace in the file."""

    url: str
    default_branch: BranchName = "main"
    status_branch: BranchName = "pilothouse/status"
    """What agents write to: the pipeline file's `status.branch`, never the default branch."""
    environments: dict[Name, Target] = {}
    webhook_hosts: tuple[Host, ...] = ()
    """Where `send_webhook` may post to, by exact name."""
    webhook_secret_file: Path | None = None
    """Signs what is posted; one line of at least 16 characters."""
    clone_from: tuple[str, ...] = ()
    """URLs of the repositories that `git_clone` may copy, exactly as agents must write them."""

    @model_validator(mode="after")
    def _agents_never_write_the_default_branch(self) -> Self:
        if self.status_branch == self.default_branch:
            raise ValueError("status_branch is the default branch, which agents never write")
        if self.webhook_hosts and self.webhook_secret_file is None:
            raise ValueError("webhook_hosts needs webhook_secret_file: what is posted is signed")
        return self


class _WorkspacesFile(Declaration):
    workspaces: dict[WorkspaceId, WorkspaceDeclaration] = Field(min_length=1)
    keys_file: Path | None = None
    """Relative to this file; left out: `workspace-keys.json` in the data folder."""
    calls_per_minute: int = Field(default=120, ge=1)


class Workspace(Contract):
    """One workspace, ready to serve."""

    id: str
    repository: RepositoryRef
    status_branch: str
    environments: dict[str, Target] = {}
    webhook_hosts: tuple[str, ...] = ()
    webhook_secret: SecretStr | None = None
    clone_from: tuple[RepositoryRef, ...] = ()

    @property
    def status_ref(self) -> str:
        """The status branch as a full ref."""
        return f"refs/heads/{self.status_branch}"


class WorkspaceConfiguration(Contract):
    """Everything the server needs to know, given once at its start."""

    workspaces: dict[str, Workspace]
    keys_file: Path
    calls_per_minute: int = 120
    """Of each key; a burst may hold as many at once."""
    mirrors_dir: Path
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8430
    allowed_hosts: tuple[str, ...] = ("localhost:*", "127.0.0.1:*", "[::1]:*")
    """Host headers that are answered, with `:*` for any port."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of browsers that are answered; programs send none."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 2 * 1024 * 1024
    wait_seconds: float = 20.0
    """How long a call waits for a lock or a deployment before it answers that it goes on."""
    allow_loopback: bool = False
    """Tests only: import_url and send_webhook reach this machine too."""


def load_workspaces(path: Path, *, data_dir: Path) -> WorkspaceConfiguration:
    """Read the YAML or JSON file `{workspaces: {ws-...: {url, environments, ...}}}`.

    Raises:
        PermanentError: `InvalidRequest`, with the file, the field and what to write instead.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        declared = _WorkspacesFile.model_validate(document)
        workspaces = {
            name: _workspace(name, each, path.parent) for name, each in declared.workspaces.items()
        }
    except ValidationError as error:
        raise PermanentError("InvalidRequest", f"{path}: {explain(error)}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        message = f"{path}, line {line}: not YAML: {error.problem}"
        raise PermanentError("InvalidRequest", message) from error
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}"
        raise PermanentError("InvalidRequest", message) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise PermanentError("InvalidRequest", f"{path} is not UTF-8 text in YAML") from error
    keys = path.parent / declared.keys_file if declared.keys_file else None
    return WorkspaceConfiguration(
        workspaces=workspaces,
        keys_file=keys or data_dir / "workspace-keys.json",
        calls_per_minute=declared.calls_per_minute,
        mirrors_dir=data_dir / "mirrors",
    )


def _workspace(name: str, declared: WorkspaceDeclaration, folder: Path) -> Workspace:
    secret = declared.webhook_secret_file
    return Workspace(
        id=name,
        repository=RepositoryRef(url=declared.url, default_branch=declared.default_branch),
        status_branch=declared.status_branch,
        environments={
            each: target.model_copy(
                update={"kubeconfig": folder / target.kubeconfig if target.kubeconfig else None}
            )
            for each, target in declared.environments.items()
        },
        webhook_hosts=declared.webhook_hosts,
        webhook_secret=_secret(folder / secret) if secret else None,
        clone_from=tuple(RepositoryRef(url=url) for url in declared.clone_from),
    )


def _secret(path: Path) -> SecretStr:
    value = path.read_text(encoding="utf-8").strip()
    if len(value) < MIN_SECRET_LENGTH:
        raise PermanentError(
            "InvalidRequest", f"{path} needs one line of at least {MIN_SECRET_LENGTH} characters"
        )
    return SecretStr(value)
