"""Which tools an agent has: what Git allows, what we know of them, and nothing else."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from pydantic import JsonValue

from pilothouse.gitops.agents.framing import READ_MORE
from pilothouse.gitops.agents.naming import NamedTool, hashed_name, model_name, named_tools
from pilothouse.gitops.agents.schemas import (
    IDEMPOTENCY_KEY,
    Schema,
    SchemaError,
    self_contained,
)
from pilothouse.models.base import Contract
from pilothouse.models.conversations import ToolDefinition
from pilothouse.models.objects import canonical_json, digest_of
from pilothouse.models.pipeline import McpServer
from pilothouse.models.tools import LeftOut, LeftOutReason, ToolHints, ToolSpec
from pilothouse.models.workspace import WORKSPACE_SERVER

MAX_TOOLS: Final = 64
"""Of one agent: more of them cost tokens at every turn, and models choose worse."""
MAX_DESCRIPTION: Final = 2_000
"""Characters of a description that a model is shown; the pin covers all of it."""

READ_MORE_TOOL: Final = ToolDefinition(
    name=READ_MORE,
    description=(
        "Read on in a text of which you were shown a part. `ref` is the one that stands below "
        "that text. `grep` shows only lines that hold these words."
    ),
    input_schema={
        "type": "object",
        "properties": {
            "ref": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
            "grep": {"type": "string", "maxLength": 200},
            "start": {"type": "integer", "minimum": 1},
            "lines": {"type": "integer", "minimum": 1, "maximum": 400},
        },
        "required": ["ref"],
        "additionalProperties": False,
    },
)

READ_MORE_TOOL_SPEC: Final = ToolSpec(
    name=READ_MORE,
    server="",
    tool=READ_MORE,
    kind="read",
    description=digest_of(READ_MORE_TOOL.description.encode()),
    pin=digest_of(READ_MORE_TOOL.model_dump_json().encode()),
    pinned=True,
)
"""Ours: it needs no server."""


class AdvertisedTool(Contract):
    """A tool as its server tells of it: untrusted in every field."""

    name: str
    description: str = ""
    input_schema: dict[str, JsonValue] = {}
    hints: ToolHints = ToolHints()


class OfferedTool(NamedTuple):
    """A tool that the agent may be told of."""

    spec: ToolSpec
    definition: ToolDefinition
    """What the model sees. Its words still have to be sanitised."""
    hints: ToolHints


class Toolset(NamedTuple):
    """What an agent has, and why it has not the rest of what Git allows."""

    tools: tuple[OfferedTool, ...]
    left_out: tuple[LeftOut, ...]


def pin_of(tool: AdvertisedTool) -> str:
    """The digest of what a model is led by: name, description and schema, as the server has it."""
    return digest_of(
        canonical_json({
            "name": tool.name,
            "description": tool.description,
            "input_schema": tool.input_schema,
        })
    )


def needed_servers(
    allowed: Sequence[str],
    servers: Mapping[str, McpServer],
    workspace: McpServer | None = None,
) -> Mapping[str, McpServer]:
    """The servers that have to be asked for their tools: no other is even contacted."""
    wanted = {named.server for entry in allowed for named in named_tools(entry, servers)}
    reachable = _reachable(servers, workspace)
    return {name: server for name, server in reachable.items() if name in wanted}


def select_tools(
    advertised: Mapping[str, Sequence[AdvertisedTool]],
    *,
    allowed: Sequence[str],
    servers: Mapping[str, McpServer],
    read_only: bool,
    workspace: McpServer | None = None,
) -> Toolset:
    """Choose an agent's tools.

    A tool is offered only if the agent's `mcp_tools` names it, its server's `tools` in Git say
    what it does, the run's ceiling permits that, it is as pinned, and its name leaves no doubt.
    What the server says about it (`hints`) changes nothing.

    Args:
        advertised: server -> what it lists.
        allowed: the agent's `mcp_tools`: `tool`, or `server/tool`.
        servers: the pipeline file's `mcp_servers`.
        read_only: the run may only read.
        workspace: our own workspace server, as the worker's settings have it; none: it has none.
    """
    offered: dict[tuple[str, str], OfferedTool] = {}
    left_out: dict[str, LeftOut] = {}
    reachable = _reachable(servers, workspace)
    for entry in dict.fromkeys(allowed):
        try:
            named = _resolve(entry, servers)
            declared, tool = _found(named, advertised, reachable)
            offered[named.server, named.tool] = _offer(named.server, tool, declared, read_only)
        except _Refused as refused:
            left_out[entry] = LeftOut(tool=entry, reason=refused.reason, message=refused.message)
    tools = list(offered.values())
    for extra in tools[MAX_TOOLS:]:
        name = f"{extra.spec.server}/{extra.spec.tool}"
        left_out[name] = LeftOut(
            tool=name, reason="too_many", message=f"an agent has at most {MAX_TOOLS} tools"
        )
    return Toolset(tuple(_unique(tools[:MAX_TOOLS])), tuple(left_out.values()))


class _Refused(Exception):
    """Why one entry of the allow-list gives no tool."""

    def __init__(self, reason: LeftOutReason, message: str) -> None:
        super().__init__(message)
        self.reason: LeftOutReason = reason
        self.message = message


def _reachable(
    servers: Mapping[str, McpServer], workspace: McpServer | None
) -> Mapping[str, McpServer]:
    """Git's servers, and our own unless Git has one by its name."""
    return {WORKSPACE_SERVER: workspace, **servers} if workspace is not None else servers


def _resolve(entry: str, servers: Mapping[str, McpServer]) -> NamedTool:
    """The one server and tool that an entry means."""
    known = named_tools(entry, servers)
    if not known:
        raise _Refused(
            "unclassified",
            f"no server's `tools` say what {entry!r} does: list it as read, write or external",
        )
    if len(known) > 1:
        having = [named.server for named in known]
        raise _Refused(
            "ambiguous", f"{', '.join(having)} each have it: write {having[0]}/{entry} or the like"
        )
    return known[0]


def _found(
    named: NamedTool,
    advertised: Mapping[str, Sequence[AdvertisedTool]],
    reachable: Mapping[str, McpServer],
) -> tuple[McpServer, AdvertisedTool]:
    """Its server, and the tool as that lists it."""
    server, name = named.server, named.tool
    if server not in reachable:
        raise _Refused(
            "unconfigured",
            "it is a tool of our own workspace server, and the worker that serves this agent has "
            "no PILOTHOUSE_WORKSPACE_URL",
        )
    found = [tool for tool in advertised.get(server, ()) if tool.name == name]
    if not found:
        raise _Refused("missing", f"the server {server!r} does not have it")
    if len(found) > 1:
        raise _Refused("ambiguous", f"the server {server!r} lists it {len(found)} times")
    return reachable[server], found[0]


def _offer(server: str, tool: AdvertisedTool, declared: McpServer, read_only: bool) -> OfferedTool:
    kind = declared.tools[tool.name]
    if read_only and kind != "read":
        raise _Refused("ceiling", f"it is classified as {kind}, and this run may only read")
    pin = pin_of(tool)
    pinned = declared.pins.get(tool.name)
    if pinned is not None and pinned != pin:
        raise _Refused(
            "drifted",
            f"its name, description or schema changed: it was {pinned}, it is {pin}; "
            "look at it, then put the new digest into `pins`",
        )
    try:
        schema = self_contained(tool.input_schema)
    except SchemaError as error:
        raise _Refused("schema", str(error)) from None
    shown, keyed = _without_key(schema)
    definition = ToolDefinition(
        name=model_name(server, tool.name),
        description=tool.description[:MAX_DESCRIPTION],
        input_schema=shown,
    )
    spec = ToolSpec(
        name=definition.name,
        server=server,
        tool=tool.name,
        kind=kind,
        description=digest_of(definition.description.encode("utf-8", "replace")),
        pin=pin,
        pinned=pinned is not None,
        input_schema=digest_of(canonical_json(shown)),
        keyed=keyed,
    )
    return OfferedTool(spec, definition, tool.hints)


def _without_key(schema: Schema) -> tuple[Schema, bool]:
    """The schema without the argument that we fill in ourselves, and whether it has it."""
    properties = schema.get("properties")
    if not isinstance(properties, dict) or IDEMPOTENCY_KEY not in properties:
        return schema, False
    required = schema.get("required")
    left = required if isinstance(required, list) else []
    return {
        **schema,
        "properties": {key: item for key, item in properties.items() if key != IDEMPOTENCY_KEY},
        "required": [name for name in left if name != IDEMPOTENCY_KEY],
    }, True


def _unique(tools: Iterable[OfferedTool]) -> list[OfferedTool]:
    """Tell apart what became the same name, e.g. `a` + `b__c` and `a__b` + `c`."""
    tools = list(tools)
    times = Counter(tool.spec.name for tool in tools)
    return [
        _renamed(tool) if times[tool.spec.name] > 1 else tool  # each by its own digest
        for tool in tools
    ]


def _renamed(tool: OfferedTool) -> OfferedTool:
    name = hashed_name(tool.spec.name, tool.spec.server, tool.spec.tool)
    return tool._replace(
        spec=tool.spec.model_copy(update={"name": name}),
        definition=tool.definition.model_copy(update={"name": name}),
    )
