"""What one agent's declaration says that cannot be meant, or cannot work."""

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Final

from pilothouse.gitops.pipelines.problems import Problem
from pilothouse.gitops.triggers import ROLE_EVENTS, emitted_events
from pilothouse.models.names import AGENTS_QUEUE, TASK_QUEUES
from pilothouse.models.notation import MODEL
from pilothouse.models.pipeline import MODEL_PROVIDERS, Agent, Pipeline, duration, named_role

_FEW_TOKENS: Final = 2_000
"""Less than this and the first call, with its prompt and tools, is the last."""
_FEW_SECONDS: Final = 10


def agent_problems(pipeline: Pipeline) -> Iterator[Problem]:
    """Everything that can be said of the agents one by one."""
    for name, agent in pipeline.agents.items():
        base = f"/pipeline/agents/{name}"
        yield from _prompts(base, name, agent)
        yield from _model(base, agent)
        yield from _queue(base, agent)
        yield from _emits(base, pipeline, name)
        if pipeline.role_of(name) == "external":
            yield from _external(base, name, agent)
        elif agent.model:
            yield from _budget(base, agent)
        else:
            yield from _without_model(base, pipeline, name)
        yield from _commands(base, pipeline, name)


def prompt_file_problems(pipeline: Pipeline, has_file: Callable[[str], bool]) -> Iterator[Problem]:
    """Prompt files that the repository does not have."""
    for name, agent in pipeline.agents.items():
        if agent.prompt_file is not None and not has_file(agent.prompt_file):
            yield Problem(
                f"/pipeline/agents/{name}/prompt_file",
                f"{agent.prompt_file} does not exist: the agent's on_error would decide",
                "Add the file, correct the path, or write the prompt here with `prompt`.",
            )


def _prompts(base: str, name: str, agent: Agent) -> Iterator[Problem]:
    if agent.prompt and agent.prompt_file:
        yield Problem(
            f"{base}/prompt_file",
            f"{name} has both prompt and prompt_file",
            "Keep one of the two.",
        )


def _model(base: str, agent: Agent) -> Iterator[Problem]:
    if not agent.model:
        return
    written = MODEL.fullmatch(agent.model)
    forms = ", ".join(MODEL_PROVIDERS)
    pointer = f"{base}/model"
    if written is None:
        message = f"{agent.model[:100]!r} is no model of a provider"
        yield Problem(pointer, message, f"Write `provider:model`, with one of {forms}.")
    elif (provider := written[1]) not in MODEL_PROVIDERS:
        close = get_close_matches(provider, MODEL_PROVIDERS, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        yield Problem(
            pointer,
            f"{provider!r} is none of the providers that every worker knows{hint}",
            f"Name it in PILOTHOUSE_MODEL_ENDPOINTS of the agents worker, or use one of {forms}.",
            "warning" if close else "info",
        )


def _queue(base: str, agent: Agent) -> Iterator[Problem]:
    if agent.task_queue in TASK_QUEUES and agent.task_queue != AGENTS_QUEUE:
        yield Problem(
            f"{base}/task_queue",
            f"{agent.task_queue} is a queue of ours that serves no model",
            f"Leave it out for {AGENTS_QUEUE}, or name a queue that an agents worker of your own "
            "serves.",
        )


def _emits(base: str, pipeline: Pipeline, name: str) -> Iterator[Problem]:
    role, emits = pipeline.role_of(name), pipeline.agents[name].emits
    pointer = f"{base}/emits"
    for index, event in enumerate(emits):
        if event in emits[:index]:
            yield Problem(
                f"{pointer}/{index}", f"{event} stands here a second time", "Remove one of the two."
            )
    if emits and role in ROLE_EVENTS:
        fixed = ", ".join(ROLE_EVENTS[role])
        yield Problem(
            pointer,
            f"{name} is a {role}, which always emits {fixed}: emits is not used",
            "Remove it.",
            "warning",
        )
    elif role == "general":
        yield from _of_general(pointer, emits)


def _of_general(pointer: str, emits: tuple[str, ...]) -> Iterator[Problem]:
    if len(emits) > 2:
        yield Problem(
            pointer,
            f"a general agent passes or fails: {', '.join(emits[2:])} is never emitted",
            "Name two events, the one of passed first.",
            "warning",
        )
    owners = {event: role for role, events in ROLE_EVENTS.items() for event in events}
    for index, event in enumerate(emits[:2]):
        if event in owners:
            yield Problem(
                f"{pointer}/{index}",
                f"{event} is what a {owners[event]} emits, and this agent does not do its work",
                "Choose a name of its own.",
                "warning",
            )


def _external(base: str, name: str, agent: Agent) -> Iterator[Problem]:
    for field, given in (("model", agent.model), ("mcp_tools", agent.mcp_tools)):
        if given:
            yield Problem(
                f"{base}/{field}",
                f"{name} is external: somebody else does its work, so it has no {field}",
                f"Remove {field}, or the role.",
            )
    if not agent.emits and named_role(name) is None:
        stem = name.replace("-", "_")
        yield Problem(
            base,
            f"{name} is external and has no emits: it ends with {stem}_passed or {stem}_failed",
            "Name the events that may end its stage in `emits`.",
            "warning",
        )


def _without_model(base: str, pipeline: Pipeline, name: str) -> Iterator[Problem]:
    """Nobody is asked: what is said of asking does nothing."""
    if pipeline.role_of(name) == "general":
        passed = emitted_events(pipeline, name)[0]
        yield Problem(
            base,
            f"{name} has neither rules nor a model: it asks nobody and emits {passed}",
            "Name a `model`.",
            "info",
        )
    elif pipeline.agents[name].on_error != "rules":
        yield Problem(
            f"{base}/on_error",
            f"{name} has no model, so that there is no answer that could be missing",
            "Name a `model`, or remove on_error.",
            "info",
        )


def _budget(base: str, agent: Agent) -> Iterator[Problem]:
    budget = agent.budget
    if budget.turns == 1 and agent.mcp_tools:
        yield Problem(
            f"{base}/budget/turns",
            "the only turn has to be the answer, so that no tool is ever called",
            "Allow more turns, or remove mcp_tools.",
            "warning",
        )
    if budget.tokens < _FEW_TOKENS:
        yield Problem(
            f"{base}/budget/tokens",
            f"{budget.tokens} tokens are hardly enough for one call",
            f"Allow {_FEW_TOKENS} or more, for input and output together.",
            "warning",
        )
    if duration(budget.time).total_seconds() < _FEW_SECONDS:
        yield Problem(
            f"{base}/budget/time",
            f"{budget.time} is hardly enough for one call",
            f"Allow {_FEW_SECONDS}s or more.",
            "warning",
        )


def _commands(base: str, pipeline: Pipeline, name: str) -> Iterator[Problem]:
    role, commands = pipeline.role_of(name), pipeline.agents[name].commands
    if commands and role != "tester":
        yield Problem(
            f"{base}/commands",
            f"{name} is no tester: its commands are not run",
            "Remove them, or give it `role: tester`.",
            "warning",
        )
    if role == "tester" and not commands:
        passed = emitted_events(pipeline, name)[0]
        yield Problem(
            base,
            f"{name} has no commands: it tests nothing and emits {passed}",
            "Name the commands to run in `commands`.",
            "info",
        )
