"""The trigger graph: which agents' turn it is."""

from collections.abc import Collection

from pilothouse.models.pipeline import Pipeline


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
            triggers.add("status.deployed")
        if name not in done and triggers & set(emitted):
            turn.append(name)
    return tuple(turn)


def cron_triggers(pipeline: Pipeline) -> tuple[str, ...]:
    """The schedules of all monitors, in the file's order."""
    return tuple(
        trigger
        for name, agent in pipeline.agents.items()
        if pipeline.role_of(name) == "monitor"
        for trigger in agent.triggers
        if trigger.startswith("cron.")
    )
