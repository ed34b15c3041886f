"""The trigger graph: which agents' turn it is."""

from collections.abc import Collection

from pilothouse.models.pipeline import Pipeline, Role, named_role

ROLE_EVENTS: dict[Role, tuple[str, ...]] = {
    "validator": ("validated", "rejected"),
    "tester": ("tests_passed", "tests_failed"),
    "deployer": ("deployed", "rolled_back", "deploy_failed"),
    "monitor": ("healthy", "degraded"),
}
"""What the stages with a core of their own emit, the good outcome first."""
AFTER_DEPLOYMENT = "status.deployed"
"""What gives every monitor a turn, whatever else triggers it."""


def opening_events(event: str) -> frozenset[str]:
    """The triggers that a run starts with.

    What was merged is validated again at the merged commit, so a push also opens what a pull
    request opens.
    """
    if event.startswith("pull-"):
        return frozenset({"webhook.pull_request"})
    opened = {"webhook.push", "webhook.pull_request"}
    return frozenset(opened | ({"manual"} if event == "manual" else set()))


def ready(pipeline: Pipeline, emitted: Collection[str], done: Collection[str]) -> tuple[str, ...]:
    """The agents whose trigger has come and who had no turn yet, in the file's order.

    A monitor looks after every deployment, whatever else triggers it.
    """
    turn = []
    for name, agent in pipeline.agents.items():
        triggers = set(agent.triggers)
        if pipeline.role_of(name) == "monitor":
            triggers.add(AFTER_DEPLOYMENT)
        if name not in done and triggers & set(emitted):
            turn.append(name)
    return tuple(turn)


def emitted_events(pipeline: Pipeline, name: str) -> tuple[str, ...]:
    """The events that an agent's stage may end with, without `status.`, the good one first.

    Roles with a core of their own have fixed ones. Others have those in `emits`; without any, an
    outside agent that is named like a role stands in for it and has the role's, and the rest have
    `<name>_passed` and `<name>_failed`.
    """
    role = pipeline.role_of(name)
    if role in ROLE_EVENTS:
        return ROLE_EVENTS[role]
    agent = pipeline.agents[name]
    if agent.emits:
        return agent.emits
    stands_in_for = named_role(name)
    if role == "external" and stands_in_for is not None:
        return ROLE_EVENTS[stands_in_for]
    stem = name.replace("-", "_")
    return (f"{stem}_passed", f"{stem}_failed")


def cron_triggers(pipeline: Pipeline) -> tuple[str, ...]:
    """The schedules of all monitors, in the file's order."""
    return tuple(
        trigger
        for name, agent in pipeline.agents.items()
        if pipeline.role_of(name) == "monitor"
        for trigger in agent.triggers
        if trigger.startswith("cron.")
    )
