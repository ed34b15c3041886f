"""What a key may do: decided on the tool's name and the key, before any argument is looked at."""

import re
from collections.abc import Collection
from typing import Annotated, Final

from pydantic import AfterValidator

FILES_READ: Final = "files:read"
FILES_WRITE: Final = "files:write"
LOCKS: Final = "locks:write"
CLUSTER_READ: Final = "cluster:read"
CLUSTER_DEPLOY: Final = "cluster:deploy"
IMPORT: Final = "web:import"
SEND: Final = "web:send"
CLONE: Final = "repositories:clone"
TRANSFER: Final = "workspace:transfer"
_EMIT: Final = re.compile(r"emit:[a-z0-9_]{1,64}")

SCOPES: Final = {
    FILES_READ: "list, read and search files, and look at locks",
    FILES_WRITE: "write files on the status branch, below the key's folders",
    LOCKS: "take and give back locks",
    CLUSTER_READ: "exec_shell: kubectl logs and kubectl get",
    CLUSTER_DEPLOY: "exec_shell: kubectl apply, as a request to deploy",
    IMPORT: "import_url",
    SEND: "send_webhook, to the hosts that the settings allow",
    CLONE: "git_clone, of the repositories that the settings allow",
    TRANSFER: "transfer_ownership",
}
"""Scope -> what it opens. No wildcard exists. `emit:<event>` ends a stage."""

TOOLS: Final[dict[str, frozenset[str]]] = {
    "list_files": frozenset({FILES_READ}),
    "read_file": frozenset({FILES_READ}),
    "rag_query": frozenset({FILES_READ}),
    "lock_status": frozenset({FILES_READ, LOCKS}),
    "write_file": frozenset({FILES_WRITE}),
    "copy_file": frozenset({FILES_WRITE}),
    "move_file": frozenset({FILES_WRITE}),
    "delete_file": frozenset({FILES_WRITE}),
    "acquire_lock": frozenset({LOCKS}),
    "release_lock": frozenset({LOCKS}),
    "exec_shell": frozenset({CLUSTER_READ, CLUSTER_DEPLOY}),
    "git_clone": frozenset({CLONE}),
    "import_url": frozenset({IMPORT}),
    "send_webhook": frozenset({SEND}),
    "transfer_ownership": frozenset({TRANSFER}),
}
"""Tool -> the scopes of which one is needed. A tool that is not here cannot be called."""


def _known_scope(scope: str) -> str:
    if scope not in SCOPES and not _EMIT.fullmatch(scope):
        raise ValueError(f"expected one of {', '.join(SCOPES)}, or emit:<event>")
    return scope


Scope = Annotated[str, AfterValidator(_known_scope)]


def _known_tool(tool: str) -> str:
    if tool not in TOOLS:
        raise ValueError(f"expected one of {', '.join(TOOLS)}")
    return tool


ToolName = Annotated[str, AfterValidator(_known_tool)]


def may_call(tool: str, scopes: Collection[str], only: Collection[str]) -> bool:
    """Whether a key with these scopes, narrowed to `only` if that is not empty, may call a tool."""
    needed = TOOLS.get(tool)
    return needed is not None and not needed.isdisjoint(scopes) and (not only or tool in only)
