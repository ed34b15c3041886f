"""What an agent is given, what a model says, and what comes of it. Small: texts are digests."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from pilothouse.models.base import Contract
from pilothouse.models.findings import Severity, Verdict
from pilothouse.models.pipeline import Agent, McpServer
from pilothouse.models.repository import Digest, RepositoryRef, Revision

ToolClass = Literal["read", "write", "external"]
"""Our own classification: what a tool does to the world. A server's annotations are hints."""

EvidenceId = Annotated[str, StringConstraints(pattern=r"^E[0-9]{1,4}$")]


class Material(Contract):
    """One piece of what an agent is shown at the start: bytes in the content store, with an id."""

    id: EvidenceId
    kind: Literal[
        "finding", "manifest", "plan", "test", "log", "event", "config", "knowledge", "tool"
    ]
    title: str
    """One line, safe to show."""
    content: Digest
    size: int
    """Bytes."""
    untrusted: bool = True


class AgentRequest(Contract):
    """One agent's task within a run."""

    repository: RepositoryRef
    revision: Revision
    run: str
    """Workflow id of the run."""
    name: str
    spec: Agent
    servers: dict[str, McpServer] = {}
    tree: Digest
    """The snapshot's tree in the content store; prompt files are read from it."""
    prompt_tree: str = ""
    """The base revision's tree for pull requests: whose prompts govern."""
    read_only: bool = True
    """The run's ceiling: a pull request's agents may call read tools only."""
    rules: Verdict = "pass"
    """What the deterministic core decided; the model can only be stricter."""
    material: tuple[Material, ...] = ()


class Usage(Contract):
    """What model calls used; of calls that failed no provider says it."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    """Input tokens that were read from the provider's cache; part of `input_tokens`."""
    cache_write_tokens: int = 0
    """Input tokens that were written to the provider's cache; part of `input_tokens`."""
    estimated: bool = False
    """The provider reported no usage: the tokens are a cautious guess from the length."""
    cost: float | None = 0.0
    """In US dollars; None: the price of the model is not known."""


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
    "unclassified", "ambiguous", "missing", "ceiling", "drifted", "schema", "too_many"
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
    """None: a built-in tool."""
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


class ToolCall(Contract):
    """A tool call that a model asks for: a wish, not an order."""

    id: str
    name: str
    arguments: Digest
    """Canonical JSON in the content store."""
    problem: str = ""
    """Why the arguments cannot be used; they are then `{}`, and the call must not be run."""


StopReason = Literal["tool_use", "result", "end_turn", "max_tokens", "refusal"]
"""Why a model stopped: it asks for tools, answered, only talked, was cut off, or declined."""


class ModelCallRequest(Contract):
    """One model call. The conversation is in the content store; this says where."""

    model: str
    """`provider:model`."""
    conversation: Digest
    tools: Digest
    """The tool list as JSON, in the content store."""
    force_result: bool = False
    """Only the result tool may be called: the last call of every conversation."""
    max_output_tokens: int = 4096
    timeout_seconds: float = 120
    key: str
    """Operation id `<workflow id>/<run id>/<call number>`: the same call is paid once."""


class ModelCallResult(Contract):
    """What came of it."""

    conversation: Digest
    """With the reply appended."""
    stop: StopReason
    tool_calls: tuple[ToolCall, ...] = ()
    result: Digest | None = None
    """The arguments of the result tool as canonical JSON, unvalidated; none if they are no JSON
    object without repeated keys, which `problem` then says."""
    problem: str = ""
    """What was wrong with the reply, in words that may be told to the model; never its text."""
    usage: Usage
    model: str = ""
    """As the provider names it."""
    request_id: str = ""


class ModelFinding(Contract):
    """What a model says is so, with what it cites."""

    severity: Severity
    message: Annotated[str, StringConstraints(max_length=500)]
    object: str = ""
    path: str = ""
    evidence: tuple["Citation", ...] = ()


class Citation(Contract):
    """Where a finding is seen."""

    id: EvidenceId
    quote: Annotated[str, StringConstraints(max_length=300)] = ""


class AgentAnswer(Contract):
    """The forced, typed result of every agent."""

    decision: Verdict
    summary: Annotated[str, StringConstraints(max_length=2000)]
    findings: tuple[ModelFinding, ...] = Field(default=(), max_length=50)
    needs_human: bool = False
    recovery: Literal["", "retry", "wait", "rollback", "hold", "escalate"] = ""


class JudgedFinding(Contract):
    """A finding after code has looked up what it cites."""

    finding: ModelFinding
    resolved: bool
    """Every citation exists in the material shown and every quote stands there."""


AgentOutcome = Literal[
    "answered",
    "rules_only",
    "budget",
    "loop",
    "refused",
    "truncated",
    "malformed",
    "provider",
    "tools",
    "superseded",
]


class AgentResult(Contract):
    """What one agent said, and what the stage makes of it."""

    outcome: AgentOutcome
    verdict: Verdict
    """The stricter of rules and model, after `on_error`."""
    model_verdict: Verdict | None = None
    needs_human: bool = False
    summary: str = ""
    findings: tuple[JudgedFinding, ...] = ()
    turns: int = 0
    tools: dict[str, int] = {}
    """Tool -> calls."""
    usage: Usage = Usage()
    model: str = ""
    prompt: str = ""
    """Digest of the system prompt."""
    transcript: str = ""
    """Digest of the conversation: prompts, replies, tool results."""
    message: str = ""
    report: str = ""
    arguments: dict[str, JsonValue] = {}
