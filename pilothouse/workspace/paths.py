"""Paths as agents write them: from `/`, inside the repository, and never `.git`."""

import re
from collections.abc import Collection
from typing import Final

from pilothouse.models.errors import PermanentError

MAX_PATH: Final = 512
RESERVED: Final = ("status/runs/", "status/environments/", "status/tests/")
"""What Pilothouse itself projects there is not for agents to write."""
_PART: Final = re.compile(r"[A-Za-z0-9_.@+ -]{1,100}")
_DOT_GIT: Final = re.compile(r"\.git(modules|attributes)?[ .]*|git~[0-9]+", re.IGNORECASE)


def repository_path(path: str) -> str:
    """`/manifests/a.yaml` or `manifests/a.yaml` as Git has it; empty for `/`.

    Raises:
        PermanentError: `ToolRefused`: it leaves the repository, or holds odd characters.
    """
    plain = path.removeprefix("/").removesuffix("/")
    if not plain:
        return ""
    parts = plain.split("/")
    if len(plain) > MAX_PATH or not all(_is_part(part) for part in parts):
        raise PermanentError(
            "ToolRefused",
            "the path is refused: expected one such as /status/deployments.json, of letters, "
            "digits and . _ - @ +, without '..'",
        )
    return plain


def writable_path(path: str, folders: Collection[str]) -> str:
    """The path, if it stands in a folder that the key may write to.

    Args:
        path: as the agent gave it.
        folders: such as `status/`, each with its slash.

    Raises:
        PermanentError: `ToolRefused`.
    """
    plain = repository_path(path)
    if not any(plain.startswith(folder) and plain != folder for folder in folders):
        allowed = ", ".join(f"/{folder}" for folder in sorted(folders)) or "no folder"
        raise PermanentError("ToolRefused", f"this key may write below {allowed} only")
    if plain.startswith(RESERVED):
        raise PermanentError(
            "ToolRefused", "Pilothouse writes this file itself, from its own history"
        )
    return plain


def _is_part(part: str) -> bool:
    return (
        _PART.fullmatch(part) is not None
        and part not in {".", ".."}
        and part == part.strip()
        and not part.startswith("-")
        and not _DOT_GIT.fullmatch(part)
    )
