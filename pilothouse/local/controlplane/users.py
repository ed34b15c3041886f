"""Who may call the embedded API server: a token each, made once and kept."""

import csv
import io
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from pilothouse.local.private_files import write_private

UserName = Literal["admin", "controller-manager", "scheduler", "node-simulator"]


@dataclass(frozen=True)
class User:
    """One line of the API server's token file."""

    file: UserName
    """The stem of the kubeconfig."""
    name: str
    """What RBAC and the audit log see."""
    group: str = ""


USERS = (
    User("admin", "admin", "system:masters"),
    # Runs with `--use-service-account-credentials=false`, so it needs every controller's rights.
    User("controller-manager", "system:kube-controller-manager", "system:masters"),
    User("scheduler", "system:kube-scheduler"),
    User("node-simulator", "node-simulator", "system:masters"),
)


def create_tokens(path: Path) -> dict[UserName, SecretStr]:
    """Write the token file, or read the one that is there; returns each user's token.

    Idempotent: yes; tokens survive a restart, and kubeconfigs with them.
    """
    if not path.exists():
        write_private(path, _render({user.name: secrets.token_hex(32) for user in USERS}))
    with path.open(encoding="utf-8", newline="") as file:
        tokens = {row[1]: row[0] for row in csv.reader(file)}
    return {user.file: SecretStr(tokens[user.name]) for user in USERS}


def _render(tokens: dict[str, str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for number, user in enumerate(USERS, start=1):
        writer.writerow([tokens[user.name], user.name, number, user.group])
    return text.getvalue()
