"""The one place that reads the environment.

Every setting is a field here, with its unit and default, read once from `PILOTHOUSE_<NAME>`. The
connection to Temporal is not here: it comes from the `temporal` CLI's own variables and profiles
(`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_PROFILE`), so that both agree.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict

from pilothouse.clients.environment import cache_home, data_home
from pilothouse.models import names


class ModelEndpoint(BaseModel):
    """A server that speaks the OpenAI chat completions API."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    base_url: str
    """Up to and including `/v1`, or what the server has in its place."""
    api_key: SecretStr | None = None
    max_output_tokens: int | None = Field(default=None, ge=1)
    """The most tokens of one reply, for small models that would talk until their context is full;
    none: as many as we ask for."""


class McpToken(BaseModel):
    """A credential for MCP servers, and where it may go."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    value: SecretStr
    origin: str = ""
    """`https://host[:port]`: the only place that it is sent to, as a bearer token."""
    variable: Annotated[str, StringConstraints(pattern=r"^([A-Z_][A-Z0-9_]*)?$")] = ""
    """For servers on stdio: the environment variable that their program gets it in."""


class Settings(BaseSettings):
    """Everything that differs between two installations."""

    model_config = SettingsConfigDict(
        env_prefix="PILOTHOUSE_",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        # A credential in the wrong form must not be quoted by the complaint about it.
        hide_input_in_errors=True,
    )

    data_dir: Path = Field(default_factory=data_home)
    """Content store, Git mirrors, journal, and the embedded services' state."""
    cache_dir: Path = Field(default_factory=cache_home)
    """What can be made again: control plane binaries, answers of `pilothouse validate`."""
    control_plane_dir: Path | None = None
    """A folder with `controlplane`, or with etcd, kube-apiserver, kube-controller-manager and
    kube-scheduler. Empty: cache, official release, or a build with Go."""
    kubeconfig: Path | None = None
    """The cluster to deploy to; empty: `KUBECONFIG` or the usual place."""
    context: str | None = None
    """The kubeconfig's context; empty: its current one."""
    git_credentials: dict[str, SecretStr] = {}
    """Host -> value of the HTTP Authorization header, as JSON."""
    helm: Path | None = None
    """The `helm` program, version 3 or 4; empty: the one on the PATH, if there is one."""
    registry_credentials: Path | None = None
    """A Docker configuration file with logins of image registries; empty: none are used."""
    insecure_registries: tuple[str, ...] = ()
    """Image registries, `host` or `host:port`, spoken to in plain http, as JSON."""
    anthropic_api_key: SecretStr | None = None
    anthropic_base_url: str = ""
    """Another server that speaks the Anthropic Messages API; empty: Anthropic's own."""
    openai_api_key: SecretStr | None = None
    openai_base_url: str = ""
    """Another server that speaks the OpenAI chat completions API; empty: OpenAI's own."""
    model_endpoints: dict[str, ModelEndpoint] = {}
    """More such servers, as JSON: name -> `base_url` and, if it wants one, `api_key`."""
    model_proxy: SecretStr | None = None
    """URL of an HTTP proxy for all calls to models; the usual proxy variables are not read."""
    model_prices: Path | None = None
    """A price table of your own, in TOML, instead of the shipped one."""
    model_scripts: Path | None = None
    """The folder of `scripted:` replies."""
    model_recordings: Path | None = None
    """The folder of `record:` and `replay:`."""
    mcp_tokens: dict[str, McpToken] = {}
    """Name -> credential for MCP servers, as JSON; the pipeline file gives the name."""
    mcp_commands: tuple[tuple[str, ...], ...] = ()
    """The programs that MCP servers on stdio may run, with their arguments, as JSON."""
    workspace_url: str = ""
    """Where `pilothouse workspace serve` answers agents, e.g. `https://HOST/mcp`; empty: nowhere.
    Its credential is the one of `mcp_tokens` that is named `workspace`."""
    workspace_key: SecretStr | None = None
    """The API key of `pilothouse workspace serve --transport stdio`: its one caller's."""
    log_level: str = "info"
    log_format: Literal["json", "console"] = "json"

    @property
    def store_dir(self) -> Path:
        """The content store."""
        return self.data_dir / "store"

    def secrets(self, fields: Iterable[str] = ()) -> tuple[str, ...]:
        """The secret values of some fields, or of all: for redactors.

        A field that is added is covered: what counts is that its values are `SecretStr`.
        """
        names = tuple(fields) or tuple(type(self).model_fields)
        return tuple(each for name in names for each in _secret_values(getattr(self, name)))

    @property
    def replies_dir(self) -> Path:
        """The journal of paid replies."""
        return self.data_dir / "replies"

    @property
    def mirrors_dir(self) -> Path:
        """Bare Git mirrors."""
        return self.data_dir / "mirrors"

    @property
    def scratch_dir(self) -> Path:
        """Exports for test runs; emptied as each ends."""
        return self.data_dir / "scratch"

    @property
    def local_dir(self) -> Path:
        """The embedded services of `pilothouse up`."""
        return self.data_dir / "local"


AGENT_CREDENTIALS: Final = (
    "anthropic_api_key",
    "openai_api_key",
    "model_endpoints",
    "model_proxy",
    "mcp_tokens",
)
"""The fields that only the workers of the agents' queue have secrets in."""

CREDENTIALS_OF: Final[Mapping[str, frozenset[str]]] = {
    names.WORKFLOW_QUEUE: frozenset(),
    names.GIT_QUEUE: frozenset({"git_credentials"}),
    names.CLUSTER_QUEUE: frozenset({"kubeconfig", "context"}),
    names.WORKSPACE_QUEUE: frozenset({"registry_credentials"}),
    names.AGENTS_QUEUE: frozenset({*AGENT_CREDENTIALS, "mcp_commands", "workspace_url"}),
}
"""Task queue -> the fields that open something, and that no other queue's worker needs."""


def _secret_values(value: object) -> Iterator[str]:
    match value:
        case SecretStr():
            yield value.get_secret_value()
        case dict():
            for each in value.values():
                yield from _secret_values(each)
        case list() | tuple():
            for each in value:
                yield from _secret_values(each)
        case BaseModel():
            for name in type(value).model_fields:
                yield from _secret_values(getattr(value, name))


def read_settings() -> Settings:
    """Read the settings once, at a program's start.

    Raises:
        pydantic.ValidationError: a variable has the wrong form.
    """
    return Settings()


def temporal_address() -> str:
    """What `TEMPORAL_ADDRESS` says; empty: nothing."""
    return os.environ.get("TEMPORAL_ADDRESS", "")


def temporal_is_configured() -> bool:
    """Whether the `temporal` CLI's own variables name a server or a profile."""
    return any(os.environ.get(name) for name in ("TEMPORAL_ADDRESS", "TEMPORAL_PROFILE"))


def inherited_environment(**overrides: str) -> dict[str, str]:
    """Our own environment with overrides, for a process that we start."""
    return {**os.environ, **overrides}


def worker_environment(queues: Collection[str], **overrides: str) -> dict[str, str]:
    """Our own environment for a worker of some task queues: without what opens other queues' doors.

    Kubernetes' own `KUBECONFIG` is the cluster queue's, too.
    """
    foreign = {
        f"PILOTHOUSE_{field.upper()}"
        for queue, fields in CREDENTIALS_OF.items()
        if queue not in queues
        for field in fields
    }
    if names.CLUSTER_QUEUE not in queues:
        foreign.add("KUBECONFIG")
    ours = {name: value for name, value in os.environ.items() if name.upper() not in foreign}
    return {**ours, **overrides}
