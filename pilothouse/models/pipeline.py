"""The pipeline file: agents, environments, and where their status goes."""

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from pilothouse.models.base import Declaration
from pilothouse.models.notation import TRIGGER, Model, RelativePath, Trigger, written
from pilothouse.models.repository import BranchName

Role = Literal["validator", "tester", "deployer", "monitor", "general", "external"]
"""`external`: somebody outside does the stage and ends it by emitting one of its events."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$")]
Namespace = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]

MODEL_PROVIDERS = ("anthropic", "openai", "scripted", "record", "replay")
"""The providers that every agents worker knows; its settings may name more."""

_DURATION = re.compile(r"([0-9]{1,6})(s|m|min|h|d)")
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def duration(text: str) -> timedelta:
    """`30s`, `5m`, `5min`, `4h`, `7d`; at most six digits.

    Raises:
        ValueError: it is none of these, or zero.
    """
    match = _DURATION.fullmatch(text)
    if not match or int(match[1]) == 0:
        raise ValueError("expected a duration such as 30s, 5m, 4h or 7d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def _is_duration(text: str) -> str:
    duration(text)
    return text


Duration = Annotated[str, AfterValidator(_is_duration), written(_DURATION.pattern, "5m", "4h")]


class Budget(Declaration):
    """What one stage of an agent may use; checked before each model call."""

    turns: int = Field(default=20, ge=1, le=200)
    """Model calls."""
    tokens: int = Field(default=200_000, ge=1)
    """Input and output together."""
    time: Duration = "5m"
    """From the first call to the answer."""
    cost: float | None = Field(default=None, gt=0)
    """In US dollars; none: not bounded by cost."""


class McpServer(Declaration):
    """Where an MCP server is, and what its tools do."""

    transport: Literal["streamable-http", "sse", "stdio"] = "streamable-http"
    """`sse` is for old servers, `stdio` for a program of the worker's machine."""
    url: str = ""
    """For HTTP transports."""
    command: tuple[str, ...] = ()
    """For stdio: the program and its arguments, run without a shell."""
    token: str = ""
    """Name of the credential in the worker's settings, sent as bearer token; never its value."""
    tools: dict[str, Literal["read", "write", "external"]] = {}
    """What each tool does to the world. A tool that is not listed cannot be called."""
    pins: dict[str, str] = {}
    """Tool -> `sha256:...` of its name, schema and description. A tool that differs is disabled."""


class Agent(Declaration):
    """One agent: its trigger, and what its stage does."""

    trigger: Trigger | tuple[Trigger, ...]
    """One or several of `webhook.push`, `webhook.pull_request`, `status.<name>`, `cron.5min` and
    `manual`."""
    role: Role | None = None
    """Which deterministic core it carries; by default the agent's own name says."""
    prompt: str = ""
    """What the team wants of it, in plain words."""
    model: Model = ""
    """`provider:model`. Empty: the agent works on rules alone."""
    mcp_tools: tuple[str, ...] = ()
    """The tools that it may call: `tool`, or `server/tool`."""
    prompt_file: RelativePath | None = None
    """A Markdown file such as `agents/validator.md`, instead of `prompt`."""
    budget: Budget = Budget()
    """What one turn in a run may use."""
    on_error: Literal["rules", "human", "fail"] = "rules"
    """What counts when the model has no usable answer: the rules' verdict, a person, or failure."""
    task_queue: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{0,100}$")] = ""
    """Where its model and tool calls run; empty: `pilothouse-agents`, as for everybody."""
    emits: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")], ...] = ()
    """General agents: the names of `passed` and `failed`, in this order. External agents: the
    events that may end their stage."""
    commands: tuple[str, ...] = ()
    """Tester: commands to run in a clean export of the commit, each split like a shell would but
    run without one."""
    timeout: Duration = "5m"
    """Tester: the longest that one command may take."""

    @field_validator("trigger")
    @classmethod
    def _known_triggers(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for trigger in (value,) if isinstance(value, str) else value:
            if not TRIGGER.fullmatch(trigger):
                raise ValueError(
                    f"{trigger!r} is not a trigger: use webhook.push, webhook.pull_request, "
                    "status.<name>, cron.5min or manual"
                )
        return value

    @property
    def triggers(self) -> tuple[str, ...]:
        """The triggers, always as a tuple."""
        return (self.trigger,) if isinstance(self.trigger, str) else self.trigger


class Approval(Declaration):
    """Whether a person decides, and for how long the question stands."""

    required: bool = True
    """Whether a person decides, once the key `approval` is there."""
    expires: Duration = "4h"
    """How long the question stands."""
    approvers: tuple[str, ...] = ()
    """Who may decide; empty: anyone but the commit's authors and agents."""


class IgnoreRule(Declaration):
    """Fields that others own: they are neither planned, nor drift, nor put back."""

    kind: str = ""
    """Empty: every kind."""
    group: str | None = None
    """API group, `""` for the core group; not given: every group."""
    name: str = ""
    """Empty: every name."""
    pointers: tuple[Annotated[str, StringConstraints(pattern=r"^/")], ...] = Field(min_length=1)
    """JSON pointers, e.g. `/spec/replicas`; `*` stands for one step."""


class HealthCheck(Declaration):
    """How to judge a kind of custom resource, in CEL over the variable `object`.

    Evaluated in this order, as Flux does: `in_progress`, `failed`, `current`; the first that is
    true decides, and an object for which none is true is progressing.
    """

    api_version: str
    kind: str
    in_progress: str = ""
    """True: it is progressing."""
    failed: str = ""
    """True: it is degraded."""
    current: str = Field(min_length=1)
    """True: it is healthy."""


PodSecurityLevel = Literal["privileged", "baseline", "restricted"]


class Environment(Declaration):
    """A named target with its own policy."""

    namespace: Namespace
    """The one namespace that it writes to."""
    after: Name | None = None
    """Promotion: deploy only after this environment took the same revision."""
    approval: Approval = Approval(required=False)
    """Whether a person decides. Without this key nobody is asked."""
    configs: RelativePath | None = None
    """A file of values that override `configs/` for this environment."""
    health_timeout: Duration = "5m"
    """How long a deployment may take to become healthy."""
    rollback: Literal["automatic", "manual"] = "automatic"
    """Whether a failed deployment is rolled back by itself."""
    cluster_scoped: bool = False
    """Whether plans may hold cluster-scoped objects or objects of other namespaces."""
    prune: bool = True
    """Whether objects that left Git are deleted."""
    prune_budget: int = Field(default=10, ge=0)
    """How many objects a plan may delete without a person: above it, approval is asked for."""
    pod_security: PodSecurityLevel | None = None
    """The Pod Security level that pods must meet; without one the namespace's own label counts."""
    drift: Literal["report", "correct"] = "report"
    """Whether the monitor puts back what drifted."""
    recreate: bool = False
    """Whether an object may be deleted and made anew because an immutable field differs."""
    resolve_images: bool = False
    """Whether image tags are replaced by digests before the plan is made."""
    ignore: tuple[IgnoreRule, ...] = ()
    """Fields that others own."""


class Status(Declaration):
    """Where status and test results are committed."""

    branch: BranchName = "pilothouse/status"
    """The default branch is allowed."""


def named_role(name: str) -> Role | None:
    """The role that an agent's name says, if it says one."""
    match name:
        case "validator" | "tester" | "deployer" | "monitor":
            return name
        case _:
            return None


class Pipeline(Declaration):
    """What the pipeline file declares."""

    agents: dict[Name, Agent] = Field(min_length=1)
    """Name -> agent: one stage of a run each."""
    environments: dict[Name, Environment] = {"default": Environment(namespace="default")}
    """Name -> where revisions are deployed to. Not given: the namespace `default`, which is where
    `kubectl apply` puts things; given and empty: nowhere."""
    mcp_servers: dict[Name, McpServer] = {}
    """Name -> a server that has tools for agents."""
    manifests: RelativePath = "manifests"
    """Where the manifests are: a folder, `.` for the root, or one file."""
    configs: RelativePath = "configs"
    """Where values for placeholders are."""
    policies: RelativePath = "policies"
    """Folder of own rules in CEL; it need not exist."""
    health_checks: tuple[HealthCheck, ...] = ()
    """How to judge custom resources."""
    status: Status = Status()
    """Where results are committed."""

    @model_validator(mode="after")
    def _promotions_end(self) -> "Pipeline":
        for name, environment in self.environments.items():
            seen = {name}
            after = environment.after
            while after is not None:
                if after not in self.environments:
                    raise ValueError(
                        f"environments.{name}.after names {after!r}, which does not exist"
                    )
                if after in seen:
                    raise ValueError(f"environments.{name}.after leads back to itself")
                seen.add(after)
                after = self.environments[after].after
        return self

    def role_of(self, name: str) -> Role:
        """An agent's role: declared, or by its name, or general."""
        return self.agents[name].role or named_role(name) or "general"

    def before(self, name: str) -> tuple[str, ...]:
        """The environments that a revision passes before this one, the first one first."""
        passed: list[str] = []
        environment = self.environments.get(name)
        while environment is not None and environment.after is not None:
            passed.insert(0, environment.after)
            environment = self.environments[environment.after]
        return tuple(passed)

    def promotion_order(self) -> tuple[str, ...]:
        """The environments, each after the one that it follows, else as written."""
        ordered: list[str] = []
        while len(ordered) < len(self.environments):
            for name, environment in self.environments.items():
                if name not in ordered and (
                    environment.after is None or environment.after in ordered
                ):
                    ordered.append(name)
        return tuple(ordered)


class PipelineFile(Declaration):
    """The document itself, in full. `models.short_form` has the other form."""

    pipeline: Pipeline
