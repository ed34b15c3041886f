"""A pipeline as it was understood, as text for people."""

from collections.abc import Iterator

from pilothouse.gitops.pipelines.overview import (
    AgentOverview,
    EnvironmentOverview,
    Overview,
    ServerOverview,
    ToolOverview,
    TriggerOverview,
)


def pipeline_text(overview: Overview) -> str:
    """Who begins when and what it may do, where it goes, and with which servers."""
    lines = ["agents:"]
    for agent in overview.agents:
        lines += _agent(agent)
    lines.append("environments:" if overview.environments else "environments: none")
    lines += map(_environment, overview.environments)
    lines.append("MCP servers:" if overview.mcp_servers else "MCP servers: none declared")
    for server in overview.mcp_servers:
        lines += _server(server)
    lines.append(f"status: committed to {overview.status_branch}")
    return "\n".join(lines) + "\n"


def _agent(agent: AgentOverview) -> Iterator[str]:
    role = f" ({agent.role})" if agent.role != agent.name else ""
    yield f"  {agent.name}{role}"
    never = "" if agent.has_a_turn else "; nothing starts it"
    yield f"    begins   {', '.join(map(_trigger, agent.triggers))}{never}"
    for event in agent.emits:
        after = f" -> {', '.join(event.begins)}" if event.begins else ""
        yield f"    emits    {event.event}{after}"
    yield f"    on pull requests  {agent.on_pull_requests}"
    if agent.role == "external":
        yield f"    model    none: somebody outside ends the stage, within {agent.budget.time}"
        return
    if not agent.model:
        yield "    model    none: rules only"
    else:
        yield f"    model    {agent.model}; without a usable answer: {agent.on_error}"
        yield f"    prompt   {agent.prompt or 'none'}"
        yield f"    budget   {_budget(agent)}"
        yield f"    queue    {agent.task_queue}"
    for tool in agent.tools:
        yield f"    tool     {_tool(tool)}"


def _trigger(trigger: TriggerOverview) -> str:
    if not trigger.trigger.startswith("status."):
        return trigger.trigger
    return f"{trigger.trigger} of {' or '.join(trigger.emitted_by) or 'nobody'}"


def _budget(agent: AgentOverview) -> str:
    budget = agent.budget
    cost = "" if budget.cost is None else f", {budget.cost:g} US dollars"
    return f"{budget.turns} turns, {budget.tokens:,} tokens, {budget.time}{cost}"


def _tool(tool: ToolOverview) -> str:
    if tool.kind is None:
        return f"{tool.entry}: cannot be called"
    name = tool.entry if tool.entry.startswith(f"{tool.server}/") else f"{tool.server}/{tool.entry}"
    when = "" if tool.on_pull_requests else ", not on pull requests"
    return f"{name}: {tool.kind}{when}"


def _environment(environment: EnvironmentOverview) -> str:
    after = f", after {environment.after}" if environment.after else ""
    approval = environment.approval
    asks = "nobody is asked"
    if approval.required:
        who = ", ".join(approval.approvers) or "anyone but the authors"
        asks = f"asks {who} for up to {approval.expires}"
    return f"  {environment.name}: namespace {environment.namespace}{after}; {asks}"


def _server(server: ServerOverview) -> Iterator[str]:
    where = server.url or " ".join(server.command)
    token = f", credential {server.token}" if server.token else ""
    yield f"  {server.name}: {server.transport} {where}{token}".rstrip()
    for tool, kind in server.tools.items():
        pin = server.pins.get(tool, "not pinned")
        yield f"    {tool}: {kind}, {pin}"
