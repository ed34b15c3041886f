"""Where the embedded services are, and the ports that they keep."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from pilothouse.local.ports import free_ports, is_free
from pilothouse.local.private_files import write_private


@dataclass(frozen=True)
class Addresses:
    """Where the services are. `services.json` holds the same."""

    temporal: str
    """`host:port` of Temporal's frontend."""
    web_ui: str
    git: str
    """Base URL of the Git server; repositories are `<base>/<name>.git`."""
    webhooks: str
    """Where the Git server delivers."""
    admin_kubeconfig: str = ""
    """Empty while there is no control plane."""
    deployer_kubeconfig: str = ""

    @classmethod
    def read(cls, path: Path) -> Self:
        """The addresses that `write` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def write(self, path: Path) -> None:
        """Replace the file in one step."""
        write_private(path, json.dumps(asdict(self), indent=2))


def remembered_ports(path: Path) -> tuple[int, int]:
    """Git's and the bridge's ports: those of the last start if they are free, else new ones.

    Clones and repository workflows remember the Git server's address.
    """
    if path.exists():
        git, bridge = json.loads(path.read_text(encoding="utf-8"))
        if is_free(git) and is_free(bridge):
            return git, bridge
    git, bridge = free_ports(2)
    path.write_text(json.dumps([git, bridge]), encoding="utf-8")
    return git, bridge
