"""What `--model` adds to the demo: agents that ask a model, and what it said."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from pilothouse.cli.demo.author import Edit
from pilothouse.cli.demo.narrator import Narrator
from pilothouse.gitops.plan.report.visible import visible
from pilothouse.gitops.reports.agents import advice_line, advice_of, cost_of, tokens_of
from pilothouse.local.model_server import ENDPOINT, MODEL, ModelServer
from pilothouse.models.runs import PipelineResult

ADVISED = {"validator": "webhook.pull_request", "deployer": "status.tests_passed"}
"""The example's agents that are given a model, and by what they stand out in its pipeline file."""
_BUDGETS = {MODEL: "{turns: 1, time: 3m}"}
"""The tiny model is asked for its answer at once: it only has the right form where it must."""


def advised_by(model: str) -> tuple[Edit, ...]:
    """The changes to the example's pipeline file with which its agents ask a model."""
    budget = f"      budget: {_BUDGETS[model]}\n" if model in _BUDGETS else ""
    return tuple(
        ("pipeline.yaml", line, f'{line}      model: "{model}"\n{budget}')
        for line in (f"      trigger: {trigger}\n" for trigger in ADVISED.values())
    )


@asynccontextmanager
async def served(
    model: str, directory: Path, narrator: Narrator
) -> AsyncIterator[Mapping[str, str]]:
    """Serve a model of this machine if it is meant; yields variables for the agents' worker.

    Raises:
        PermanentError: `LocalServiceFailed`, the local model is not installed or does not start.
        TemporaryError: `LocalServiceFailed`, it was not ready in time.
    """
    if model != ENDPOINT:
        yield {}
        return
    narrator.line("The agents ask a tiny model on this machine. It is real, it is slow (half a", 0)
    narrator.line("minute each, a few minutes in all), and what it says means little.", 0)
    server = ModelServer(directory)
    async with narrator.waiting("loading the local model"):
        await server.start()
    try:
        yield server.settings()
    finally:
        await server.stop()


def model_name(choice: str) -> str:
    """`provider:model` for what `--model` says: `local`, or that itself."""
    return MODEL if choice == ENDPOINT else choice


def advice_lines(result: PipelineResult) -> Iterator[str]:
    """What the models of a run said, what that counted for, and what it cost."""
    for stage in result.stages:
        advice = advice_of(stage)
        if advice is None or advice.outcome == "rules_only":
            continue
        who = " ".join(filter(None, (stage.agent, stage.environment)))
        yield (
            f"{who} asked {visible(advice.model)}: {advice_line(advice)}; rules say "
            f"{advice.rules}, it counts as {advice.verdict}"
        )
        if advice.summary:
            yield f'  its words: "{visible(advice.summary, 300)}"'
        yield (
            f"  {advice.turns} turns, {tokens_of(advice.usage)} tokens, {cost_of(advice.usage)}, "
            f"{advice.seconds:.0f} s"
        )
