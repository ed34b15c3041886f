"""What a container machine is built from, and what an ended instance leaves."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["init", "sidecar", "main"]
RestartPolicy = Literal["Always", "OnFailure", "Never"]


@dataclass(frozen=True)
class ContainerSpec:
    """What of a container's declaration matters here."""

    name: str
    image: str
    role: Role
    restart: RestartPolicy
    """Its own policy: that of the pod, but for init containers and sidecars."""
    node: str
    pod: str
    """`<name>_<namespace>(<uid>)`, as the kubelet names a pod in messages."""
    ready_after: float = 0.0
    """Seconds from start to ready."""

    @property
    def field_path(self) -> str:
        """Where events about this container point."""
        field_name = "containers" if self.role == "main" else "initContainers"
        return f"spec.{field_name}{{{self.name}}}"


@dataclass(frozen=True)
class Exit:
    """How one instance of a container ended."""

    code: int
    reason: str
    started_at: float
    finished_at: float
    instance: int
