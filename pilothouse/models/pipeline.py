"""The pipeline file: agents, environments, and where their status goes."""

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from pilothouse.models.base import Declaration
from pilothouse.models.repository import BranchName

Role = Literal["validator", "tester", "deployer", "monitor", "general"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$")]
Namespace = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]

_DURATION = re.compile(r"([0-9]{1,6})(s|m|min|h|d)")
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_CRON_FIELD = r"[0-9*/,-]+"
_TRIGGER = re.compile(
    r"webhook\.(push|pull_request)|status\.[a-z0-9_]+|manual"
    rf"|cron\.([1-9][0-9]{{0,5}}(s|m|min|h|d)|{_CRON_FIELD}( {_CRON_FIELD}){{4}})"
)


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


Duration = Annotated[str, AfterValidator(_is_duration)]


def _is_path(text: str) -> str:
    if text.startswith("/") or ".." in text.split("/") or "\\" in text or not text:
        raise ValueError("expected a path inside the repository, without '..'")
    return text.strip("/")


RelativePath = Annotated[str, AfterValidator(_is_path)]


class Budget(Declaration):
    """What one stage of an agent may use; checked before each model call."""

    turns: int = Field(default=20, ge=1, le=200)
    tokens: int = Field(default=200_000, ge=1)
    """Input and output together."""
    time: Duration = "5m"
    cost: float | None = Field(default=None, gt=0)
    """In US dollars; none: not bounded by cost."""


class McpServer(Declaration):
    """Where an MCP server is, and what its tools do."""

    transport: Literal["streamable-http", "sse", "stdio"] = "streamable-http"
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

    trigger: str | tuple[str, ...]
    """`webhook.push`, `webhook.pull_request`, `status.<name>`, `cron.5min`, `manual`."""
    role: Role | None = None
    """Which deterministic core it carries; by default the agent's own name says."""
    prompt: str = ""
    model: str = ""
    """Empty: the agent works on rules alone."""
    mcp_tools: tuple[str, ...] = ()
    prompt_file: RelativePath | None = None
    """A Markdown file such as `agents/validator.md`, instead of `prompt`."""
    budget: Budget = Budget()
    on_error: Literal["rules", "human", "fail"] = "rules"
    """What counts when the model has no usable answer: the rules' verdict, a person, or failure."""
    task_queue: str = ""
    emits: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")], ...] = ()
    """General agents: the names of `passed` and `failed`, in this order."""
    commands: tuple[str, ...] = ()
    """Tester: commands to run in a clean export of the commit, each split like a shell would but
    run without one."""
    timeout: Duration = "5m"
    """Tester: the longest that one command may take."""

    @field_validator("trigger")
    @classmethod
    def _known_triggers(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for trigger in (value,) if isinstance(value, str) else value:
            if not _TRIGGER.fullmatch(trigger):
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
    expires: Duration = "4h"
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
    failed: str = ""
    current: str = Field(min_length=1)


PodSecurityLevel = Literal["privileged", "baseline", "restricted"]


class Environment(Declaration):
    """A named target with its own policy."""

    namespace: Namespace
    after: Name | None = None
    """Promotion: deploy only after this environment took the same revision."""
    approval: Approval = Approval(required=False)
    configs: RelativePath | None = None
    """A file of values that override `configs/` for this environment."""
    health_timeout: Duration = "5m"
    rollback: Literal["automatic", "manual"] = "automatic"
    cluster_scoped: bool = False
    """Whether plans may hold cluster-scoped objects or objects of other namespaces."""
    prune: bool = True
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


class Status(Declaration):
    """Where status and test results are committed."""

    branch: BranchName = "pilothouse/status"


class Pipeline(Declaration):
    """What the pipeline file declares."""

    agents: dict[Name, Agent] = Field(min_length=1)
    environments: dict[Name, Environment] = {}
    mcp_servers: dict[Name, McpServer] = {}
    manifests: RelativePath = "manifests"
    configs: RelativePath = "configs"
    policies: RelativePath = "policies"
    """Folder of own rules in CEL; it need not exist."""
    health_checks: tuple[HealthCheck, ...] = ()
    status: Status = Status()

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
        agent = self.agents[name]
        if agent.role is not None:
            return agent.role
        match name:
            case "validator" | "tester" | "deployer" | "monitor":
                return name
            case _:
                return "general"

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
    """The document itself."""

    pipeline: Pipeline
