"""The trigger graph of a pipeline: who begins when, and what never does."""

from collections import deque
from collections.abc import Iterator
from difflib import get_close_matches

from pilothouse.gitops import triggers
from pilothouse.gitops.pipelines.problems import Problem
from pilothouse.models.pipeline import Pipeline, Role

NOT_ON_PULL_REQUESTS: frozenset[Role] = frozenset({"tester", "deployer"})
"""Their turn is skipped there and emits nothing: no code is run and nothing is deployed."""


def walk(pipeline: Pipeline, event: str) -> tuple[str, ...]:
    """The agents that may have a turn in a run, in order, if each stage can end in every way.

    Args:
        pipeline: what the file declares.
        event: `push`, `manual` or `pull-<number>`.
    """
    emitted = set(triggers.opening_events(event))
    turns: list[str] = []
    while ready := triggers.ready(pipeline, emitted, turns):
        name = ready[0]
        turns.append(name)
        skipped = event.startswith("pull-") and pipeline.role_of(name) in NOT_ON_PULL_REQUESTS
        if not skipped:
            emitted |= {f"status.{each}" for each in triggers.emitted_events(pipeline, name)}
    return tuple(turns)


def begins(pipeline: Pipeline, event: str) -> tuple[str, ...]:
    """The agents that one event, `validated` without `status.`, gives a turn to."""
    return triggers.ready(pipeline, {f"status.{event}"}, ())


def emitters(pipeline: Pipeline, event: str) -> tuple[str, ...]:
    """The agents that may emit an event, named without `status.`."""
    return tuple(
        name for name in pipeline.agents if event in triggers.emitted_events(pipeline, name)
    )


def started(pipeline: Pipeline) -> frozenset[str]:
    """The agents that something may start, a schedule included."""
    scheduled = {
        name
        for name, agent in pipeline.agents.items()
        if pipeline.role_of(name) == "monitor"
        and any(trigger.startswith("cron.") for trigger in agent.triggers)
    }
    events = ("push", "manual", "pull-1")
    return frozenset(scheduled.union(*(walk(pipeline, event) for event in events)))


def graph_problems(pipeline: Pipeline) -> Iterator[Problem]:
    """Everything that can be said of the agents and environments together. Nothing is an error."""
    told: set[str] = set()
    for problem in (*_unheard(pipeline), *_schedules(pipeline)):
        told.add(problem.pointer.split("/")[3])
        yield problem
    for circle in _circles(pipeline):
        told |= set(circle)
        way = " -> ".join((*circle, circle[0]))
        yield Problem(
            f"/pipeline/agents/{circle[0]}",
            f"these agents begin each other: {way}; each has one turn in a run, so that it ends",
            "Remove one of the triggers, unless this is meant.",
            "warning",
        )
    reached = started(pipeline)
    for name in pipeline.agents:
        if name not in reached and name not in told:
            yield Problem(
                f"/pipeline/agents/{name}/trigger",
                f"{name} never has a turn: it has no trigger, or none whose agent has a turn",
                "Begin with webhook.pull_request, webhook.push or manual.",
                "warning",
            )
    yield from _repeated(pipeline)
    yield from _targets(pipeline)


def _unheard(pipeline: Pipeline) -> Iterator[Problem]:
    """Triggers that nobody emits."""
    known = {e for name in pipeline.agents for e in triggers.emitted_events(pipeline, name)}
    for name, index, trigger in _each_trigger(pipeline):
        kind, _, event = trigger.partition(".")
        if kind == "status" and event not in known:
            close = get_close_matches(event, known, n=1)
            hint = f" (did you mean status.{close[0]}?)" if close else ""
            listed = ", ".join(f"status.{each}" for each in sorted(known))
            yield Problem(
                _trigger_place(pipeline, name, index),
                f"no agent emits {trigger}{hint}",
                f"Emitted are {listed}.",
                "warning",
            )


def _schedules(pipeline: Pipeline) -> Iterator[Problem]:
    """Schedules that are not kept."""
    used = False
    for name, index, trigger in _each_trigger(pipeline):
        if not trigger.startswith("cron."):
            continue
        if pipeline.role_of(name) != "monitor":
            message = f"{name} is no monitor: only monitors have schedules"
            fix = "Use another trigger, or give it `role: monitor`."
            yield Problem(_trigger_place(pipeline, name, index), message, fix, "warning")
        elif used:
            message = f"{trigger} is a second schedule: only the first of the file is kept"
            fix = "Keep one schedule."
            yield Problem(_trigger_place(pipeline, name, index), message, fix, "warning")
        else:
            used = True


def _each_trigger(pipeline: Pipeline) -> Iterator[tuple[str, int, str]]:
    for name, agent in pipeline.agents.items():
        for index, trigger in enumerate(agent.triggers):
            yield name, index, trigger


def _trigger_place(pipeline: Pipeline, name: str, index: int) -> str:
    place = f"/pipeline/agents/{name}/trigger"
    return place if isinstance(pipeline.agents[name].trigger, str) else f"{place}/{index}"


def _circles(pipeline: Pipeline) -> list[tuple[str, ...]]:
    """One circle through each agent that leads back to itself; no agent is named twice."""
    after = {
        name: [
            next_one
            for event in triggers.emitted_events(pipeline, name)
            for next_one in begins(pipeline, event)
        ]
        for name in pipeline.agents
    }
    circles: list[tuple[str, ...]] = []
    for name in pipeline.agents:
        way = _way_back(after, name)
        if way and not any(set(way) & set(known) for known in circles):
            circles.append(way)
    return circles


def _way_back(after: dict[str, list[str]], start: str) -> tuple[str, ...]:
    """The shortest way from an agent to itself; empty if there is none."""
    ways: deque[tuple[str, ...]] = deque([(start,)])
    seen: set[str] = set()
    while ways:
        way = ways.popleft()
        for next_one in after[way[-1]]:
            if next_one == start:
                return way
            if next_one not in seen:
                seen.add(next_one)
                ways.append((*way, next_one))
    return ()


def _repeated(pipeline: Pipeline) -> Iterator[Problem]:
    """Events that two agents emit: who waits for them goes on after the first."""
    seen: dict[str, str] = {}
    for name in pipeline.agents:
        for event in triggers.emitted_events(pipeline, name):
            waiting = begins(pipeline, event)
            if seen.setdefault(event, name) != name and waiting:
                yield Problem(
                    f"/pipeline/agents/{name}",
                    f"{seen[event]} and {name} both emit {event}: {', '.join(waiting)} "
                    "goes on after the first of them, whatever the other one says",
                    "Give one of them another role, or `emits` of its own.",
                    "warning",
                )


def _targets(pipeline: Pipeline) -> Iterator[Problem]:
    """Environments that are missing, that nobody deploys to, or that are the same place."""
    deployer = next((n for n in pipeline.agents if pipeline.role_of(n) == "deployer"), None)
    declared = "environments" in pipeline.model_fields_set
    if not declared and deployer is not None:
        yield Problem(
            f"/pipeline/agents/{deployer}",
            "no environment is declared: it deploys to the namespace default",
            "Add `environments`, each with its namespace.",
            "info",
        )
    elif not pipeline.environments:
        yield Problem(
            "/pipeline/environments",
            "there is no environment: nothing is rendered, checked or deployed",
            "Add one with its namespace.",
            "warning",
        )
    elif declared and deployer is None:
        message = "no agent is a deployer: nothing is deployed to the environments"
        fix = "Add an agent `deployer`."
        yield Problem("/pipeline/environments", message, fix, "warning")
    seen: dict[str, str] = {}
    for name, environment in pipeline.environments.items():
        if seen.setdefault(environment.namespace, name) != name:
            yield Problem(
                f"/pipeline/environments/{name}/namespace",
                f"{seen[environment.namespace]} and {name} are the same namespace: what one of "
                "them deploys the other one takes over",
                "Give each environment a namespace of its own.",
                "warning",
            )
