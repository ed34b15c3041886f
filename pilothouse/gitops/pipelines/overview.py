"""A pipeline as it was understood: what `pilothouse pipeline check` shows to its authors."""

from typing import Literal

from pilothouse.gitops.agents.naming import named_tools
from pilothouse.gitops.pipelines.graph import NOT_ON_PULL_REQUESTS, begins, emitters, started, walk
from pilothouse.gitops.pipelines.tools import without_credentials
from pilothouse.gitops.triggers import AFTER_DEPLOYMENT, emitted_events
from pilothouse.models.base import Contract
from pilothouse.models.names import AGENTS_QUEUE
from pilothouse.models.pipeline import Budget, Environment, McpServer, Pipeline, Role
from pilothouse.models.tools import ToolClass


class TriggerOverview(Contract):
    """One trigger of an agent; a monitor has `status.deployed` even if the file does not say so."""

    trigger: str
    emitted_by: tuple[str, ...] = ()
    """The agents whose stage may end with it; of `status.` triggers only."""


class EventOverview(Contract):
    """One end that an agent's stage may have."""

    event: str
    """With `status.`, as triggers name it."""
    begins: tuple[str, ...] = ()
    """The agents that it gives a turn to."""


class ToolOverview(Contract):
    """One entry of an agent's `mcp_tools`."""

    entry: str
    server: str = ""
    """Empty: no server is known to have it, or two are."""
    kind: ToolClass | None = None
    pinned: bool = False
    on_pull_requests: bool = False
    """Whether the agent may call it there: tools that read only."""


class AgentOverview(Contract):
    """One agent: when it has its turn, what it may do then, and what comes of it."""

    name: str
    role: Role
    triggers: tuple[TriggerOverview, ...]
    emits: tuple[EventOverview, ...]
    has_a_turn: bool
    """Whether anything can start it."""
    on_pull_requests: Literal["may read", "skipped", "no turn"]
    """What its turn is worth there: tests and deployments are skipped."""
    model: str
    """Empty: rules only."""
    prompt: str
    """Where its prompt is: the prompt file's path, `pipeline file`, or empty."""
    tools: tuple[ToolOverview, ...]
    budget: Budget
    on_error: str
    task_queue: str


class EnvironmentOverview(Environment):
    """An environment with its name."""

    name: str


class ServerOverview(McpServer):
    """An MCP server with its name."""

    name: str
    unpinned: tuple[str, ...]
    """Tools that are taken as the server has them on the day."""


class Overview(Contract):
    """All of a pipeline."""

    agents: tuple[AgentOverview, ...]
    environments: tuple[EnvironmentOverview, ...]
    """In promotion order."""
    mcp_servers: tuple[ServerOverview, ...]
    status_branch: str


def overview(pipeline: Pipeline) -> Overview:
    """Say what a pipeline means, in the file's order."""
    reached, on_pull_requests = started(pipeline), walk(pipeline, "pull-1")
    return Overview(
        agents=tuple(
            _agent(pipeline, name, name in reached, name in on_pull_requests)
            for name in pipeline.agents
        ),
        environments=tuple(
            EnvironmentOverview(name=name, **dict(pipeline.environments[name]))
            for name in pipeline.promotion_order()
        ),
        mcp_servers=tuple(_server(name, server) for name, server in pipeline.mcp_servers.items()),
        status_branch=pipeline.status.branch,
    )


def _agent(pipeline: Pipeline, name: str, reached: bool, on_pull_requests: bool) -> AgentOverview:
    agent, role = pipeline.agents[name], pipeline.role_of(name)
    implied = (AFTER_DEPLOYMENT,) if role == "monitor" else ()
    return AgentOverview(
        name=name,
        role=role,
        triggers=tuple(
            _trigger(pipeline, each) for each in dict.fromkeys((*agent.triggers, *implied))
        ),
        emits=tuple(
            EventOverview(event=f"status.{event}", begins=begins(pipeline, event))
            for event in emitted_events(pipeline, name)
        ),
        has_a_turn=reached,
        on_pull_requests=_on_pull_requests(role) if on_pull_requests else "no turn",
        model=agent.model,
        prompt=agent.prompt_file or ("pipeline file" if agent.prompt else ""),
        tools=tuple(_tool(each, pipeline.mcp_servers) for each in agent.mcp_tools),
        budget=agent.budget,
        on_error=agent.on_error,
        task_queue=agent.task_queue or AGENTS_QUEUE,
    )


def _on_pull_requests(role: Role) -> Literal["may read", "skipped"]:
    return "skipped" if role in NOT_ON_PULL_REQUESTS else "may read"


def _trigger(pipeline: Pipeline, trigger: str) -> TriggerOverview:
    kind, _, event = trigger.partition(".")
    return TriggerOverview(
        trigger=trigger, emitted_by=emitters(pipeline, event) if kind == "status" else ()
    )


def _server(name: str, server: McpServer) -> ServerOverview:
    unpinned = tuple(tool for tool in server.tools if tool not in server.pins)
    shown = {**dict(server), "url": without_credentials(server.url)}
    return ServerOverview(name=name, unpinned=unpinned, **shown)


def _tool(entry: str, servers: dict[str, McpServer]) -> ToolOverview:
    found = named_tools(entry, servers)
    if len(found) != 1:
        return ToolOverview(entry=entry)
    [tool] = found
    declared = servers.get(tool.server)
    return ToolOverview(
        entry=entry,
        server=tool.server,
        kind=tool.kind,
        pinned=declared is not None and tool.tool in declared.pins,
        on_pull_requests=tool.kind == "read",
    )
