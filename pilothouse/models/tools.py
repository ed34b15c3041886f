"""What agents may call, one call, and what they are shown. Small: texts are digests."""

from typing import Annotated, Literal

from pydantic import StringConstraints

from pilothouse.models.base import Contract
from pilothouse.models.pipeline import McpServer
from pilothouse.models.repository import Digest

ToolClass = Literal["read", "write", "external"]
"""Our own classification: what a tool does to the world. A server's annotations are hints."""

EvidenceId = Annotated[str, StringConstraints(pattern=r"^E[0-9]{1,4}$")]

MaterialKind = Literal[
    "finding", "manifest", "plan", "test", "log", "event", "config", "knowledge", "tool"
]


class Material(Contract):
    """One piece of what an agent is shown at the start: bytes in the content store, with an id."""

    id: EvidenceId
    kind: MaterialKind
    title: str
    """One line, safe to show."""
    content: Digest
    size: int
    """Bytes."""
    untrusted: bool = True


class ToolSpec(Contract):
    """One tool as a model sees it, pinned."""

    name: str
    """`server__tool`, at most 64 characters of letters, digits, `_` and `-`."""
    server: str
    tool: str
    kind: ToolClass
    description: Digest
    """Of the text in the store."""
    pin: Digest
    """Of name, schema and description."""
    pinned: bool = False
    """Git holds this pin; else it is only what the server says today."""
    input_schema: Digest | None = None
    """Of the schema that the arguments must meet, in the store."""
    keyed: bool = False
    """It takes an `idempotency_key`, which we fill in: the same call takes effect once."""


class ToolHints(Contract):
    """What a server says about its own tool: shown to people, never decided by."""

    title: str = ""
    read_only: bool | None = None
    destructive: bool | None = None
    idempotent: bool | None = None
    open_world: bool | None = None


LeftOutReason = Literal[
    "unclassified",
    "ambiguous",
    "missing",
    "unconfigured",
    "ceiling",
    "drifted",
    "schema",
    "too_many",
]


class LeftOut(Contract):
    """A tool that Git allows an agent and that it has not."""

    tool: str
    """As `mcp_tools` names it."""
    reason: LeftOutReason
    message: str


class ToolListRequest(Contract):
    """Which tools an agent wants."""

    allowed: tuple[str, ...] = ()
    """Its `mcp_tools`."""
    servers: dict[str, McpServer] = {}
    read_only: bool = True
    timeout_seconds: float = 30


class ToolList(Contract):
    """What an agent may call in this run."""

    tools: tuple[ToolSpec, ...] = ()
    definitions: Digest
    """What a model is told of them, as JSON in the content store; the built-in tools included."""
    left_out: tuple[LeftOut, ...] = ()


class ToolCallRequest(Contract):
    """One tool call that the workflow has admitted."""

    spec: ToolSpec
    server: McpServer | None = None
    """None: a built-in tool, or one of our own workspace server, which the worker finds itself."""
    arguments: Digest
    """Canonical JSON in the content store, as the model gave it."""
    key: str
    """Operation id `<workflow id>/<run id>/<call number>`: the same call takes effect once."""
    evidence: EvidenceId
    """Under which id the result is shown."""
    readable: tuple[Digest, ...] = ()
    """What `read_more` may read: what this agent was shown parts of."""
    timeout_seconds: float = 60


class ToolCallResult(Contract):
    """What came of it."""

    text: Digest
    """For the model: sanitised, framed, cut."""
    material: Material
    """What citations are looked up in."""
    full: Digest
    """All of it, sanitised: `read_more` may read it."""
    omitted: int = 0
    """Characters that are not shown."""
    is_error: bool = False
    redactions: dict[str, int] = {}
    """Rule -> how often something was hidden."""
