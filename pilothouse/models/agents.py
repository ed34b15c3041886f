"""What an agent is asked, what a model answers, and what comes of it. Small: texts are digests."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pilothouse.models.base import Contract
from pilothouse.models.findings import Severity, Verdict
from pilothouse.models.model_calls import Usage
from pilothouse.models.pipeline import Agent, McpServer, Role
from pilothouse.models.repository import Digest, RepositoryRef, Revision
from pilothouse.models.tools import EvidenceId, LeftOut, Material


class AgentRequest(Contract):
    """One agent's task within a run: starts an `AgentWorkflow`."""

    repository: RepositoryRef
    revision: Revision
    name: str
    spec: Agent
    run: str = ""
    """Workflow id of the run; empty: started by hand."""
    role: Role = "general"
    servers: dict[str, McpServer] = {}
    tree: str = ""
    """The snapshot's tree in the content store; prompt files are read from it."""
    prompt_tree: str = ""
    """The base revision's tree for pull requests: whose prompts govern."""
    read_only: bool = True
    """The run's ceiling: a pull request's agents may call read tools only."""
    rules: Verdict = "pass"
    """What the deterministic core decided; the model can only be stricter."""
    material: tuple[Material, ...] = ()
    task: str = ""
    """Words of ours for the first turn: what this stage wants to know."""


class OpeningRequest(Contract):
    """What a conversation begins with."""

    request: AgentRequest
    key: str
    """Operation id `<workflow id>/<run id>/0`."""


class Opening(Contract):
    """A conversation that can begin."""

    conversation: Digest
    prompt: Digest
    """The system prompt."""
    shown: tuple[Material, ...] = ()
    """The start material as it is shown: what citations are looked up in."""
    readable: tuple[Digest, ...] = ()
    """The whole of what was cut."""


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
    "misdeclared",
    "superseded",
]
"""How an agent ended. `provider`, `tools`: the model, or a server of tools, could not be reached or
refused us. `misdeclared`: what Git says of it cannot be used, as a prompt file that is missing."""


class AnswerRequest(Contract):
    """A model's answer, to be judged."""

    key: str
    """Operation id, as in `OpeningRequest`."""
    answer: Digest
    """What the model gave to the result tool, unvalidated."""
    shown: tuple[Material, ...] = ()
    """Everything that this agent was shown."""
    rules: Verdict
    on_error: Literal["rules", "human", "fail"]


class JudgedAnswer(Contract):
    """What counts of it."""

    outcome: Literal["answered", "malformed"]
    hint: str = ""
    """Malformed: what to tell the model for its one other try."""
    verdict: Verdict
    """The stricter of rules and model, after `on_error`."""
    model_verdict: Verdict | None = None
    needs_human: bool = False
    summary: str = ""
    findings: tuple[JudgedFinding, ...] = ()
    omitted: int = 0
    """Findings that are only in the stored answer."""
    hypotheses: tuple[str, ...] = ()
    """Why findings count as hypotheses."""
    recovery: str = ""
    message: str = ""


MAX_JUDGED_BYTES = 16 * 1024
"""Findings travel through histories; all of them stay in the stored answer."""


class AgentResult(Contract):
    """What one agent said, and what the stage makes of it."""

    outcome: AgentOutcome | Literal["running"]
    verdict: Verdict
    """The stricter of rules and model, after `on_error`."""
    model_verdict: Verdict | None = None
    rules: Verdict = "pass"
    """What the deterministic core decided before it was asked."""
    needs_human: bool = False
    summary: str = ""
    findings: tuple[JudgedFinding, ...] = ()
    omitted: int = 0
    """Findings that are only in the transcript."""
    hypotheses: tuple[str, ...] = ()
    recovery: str = ""
    """What the model would do about a failure, from the closed list; empty: nothing."""
    turns: int = 0
    tools: dict[str, int] = {}
    """Tool -> calls."""
    usage: Usage = Usage()
    model: str = ""
    prompt: str = ""
    """Digest of the system prompt."""
    transcript: str = ""
    """Digest of the conversation: prompts, replies, tool results."""
    shown: tuple[Material, ...] = ()
    """What it was shown, by evidence id."""
    left_out: tuple[LeftOut, ...] = ()
    """Tools that Git allows it and that it had not."""
    seconds: float = 0.0
    message: str = ""
    """Why it ended so, in words of ours."""
    report: str = ""
