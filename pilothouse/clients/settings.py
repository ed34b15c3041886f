"""The one place that reads the environment.

Every setting is a field here, with its unit and default, read once from `PILOTHOUSE_<NAME>`. The
connection to Temporal is not here: it comes from the `temporal` CLI's own variables and profiles
(`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_PROFILE`), so that both agree.
"""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from pilothouse.clients.environment import cache_home, data_home


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
    log_level: str = "info"
    log_format: Literal["json", "console"] = "json"

    @property
    def store_dir(self) -> Path:
        """The content store."""
        return self.data_dir / "store"

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


def read_settings() -> Settings:
    """Read the settings once, at a program's start.

    Raises:
        pydantic.ValidationError: a variable has the wrong form.
    """
    return Settings()


def temporal_is_configured() -> bool:
    """Whether the `temporal` CLI's own variables name a server or a profile."""
    return any(os.environ.get(name) for name in ("TEMPORAL_ADDRESS", "TEMPORAL_PROFILE"))


def inherited_environment(**overrides: str) -> dict[str, str]:
    """Our own environment with overrides, for a process that we start."""
    return {**os.environ, **overrides}
