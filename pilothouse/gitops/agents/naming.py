"""What tools are called: by the pipeline file, and towards a model."""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Final, NamedTuple

from pilothouse.gitops.agents.framing import READ_MORE
from pilothouse.models.conversations import RESULT_TOOL
from pilothouse.models.pipeline import McpServer
from pilothouse.models.tools import ToolClass
from pilothouse.models.workspace import WORKSPACE_SERVER, WORKSPACE_TOOLS

MAX_NAME: Final = 64
_RESERVED: Final = frozenset({RESULT_TOOL, READ_MORE})
_MODEL_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class NamedTool(NamedTuple):
    """What an entry of `mcp_tools` means."""

    server: str
    tool: str
    kind: ToolClass


def named_tools(entry: str, servers: Mapping[str, McpServer]) -> tuple[NamedTool, ...]:
    """Every tool that an entry of `mcp_tools` may mean: exactly one, unless it is a mistake.

    A name that no declared server classifies means our own workspace server, which nobody has to
    declare; a server that is declared by its name counts instead of it.

    Args:
        entry: `tool`, or `server/tool`.
        servers: the pipeline file's `mcp_servers`.
    """
    of, slash, rest = entry.partition("/")
    if slash and of in servers:
        kind = servers[of].tools.get(rest)
        return (NamedTool(of, rest, kind),) if kind else ()
    declared = tuple(
        NamedTool(name, entry, server.tools[entry])
        for name, server in servers.items()
        if entry in server.tools
    )
    if declared or WORKSPACE_SERVER in servers:
        return declared
    tool = entry.removeprefix(f"{WORKSPACE_SERVER}/")
    own = WORKSPACE_TOOLS.get(tool)
    return (NamedTool(WORKSPACE_SERVER, tool, own),) if own else ()


def model_name(server: str, tool: str) -> str:
    """`server__tool`, as a model sees it; other characters and long names end in a digest."""
    name = f"{server}__{tool}"
    if _MODEL_NAME.fullmatch(name) and name not in _RESERVED:
        return name
    return hashed_name(re.sub(r"[^A-Za-z0-9_-]", "_", name), server, tool)


def hashed_name(name: str, server: str, tool: str) -> str:
    """The name with the digest of the tool that it stands for."""
    digest = sha256(f"{server}/{tool}".encode("utf-8", "replace")).hexdigest()[:8]
    return f"{name[: MAX_NAME - 9]}_{digest}"
