"""What `pilothouse demo --model` adds: agents that ask, and what the model said is told."""

import pytest

from pilothouse.cli.demo.advisers import ADVISED, advice_lines, advised_by, model_name
from pilothouse.cli.demo.author import example_folder
from pilothouse.gitops.pipeline_file import parse_pipeline
from pilothouse.models.agents import AgentResult
from pilothouse.models.model_calls import Usage
from pilothouse.models.pipeline import Budget
from pilothouse.models.runs import DeploymentResult, PipelineResult, StageReport

ADVICE = AgentResult(
    outcome="answered",
    verdict="review",
    model_verdict="review",
    model="smollm2",
    summary="looks \x1b[2Jfine",
    turns=1,
    usage=Usage(calls=1, input_tokens=2000, output_tokens=100, cost=None),
    seconds=12.3,
)


@pytest.mark.parametrize("choice", ["local", "anthropic:claude-some"])
def test_the_examples_agents_ask_the_model(choice: str) -> None:
    text = (example_folder() / "pipeline.yaml").read_text(encoding="utf-8")
    model = model_name(choice)
    for _, old, new in advised_by(model):
        assert text.count(old) == 1
        text = text.replace(old, new)
    pipeline, findings = parse_pipeline(text.encode())
    assert pipeline is not None, findings
    asking = {name: agent for name, agent in pipeline.agents.items() if agent.model}
    assert set(asking) == set(ADVISED)
    assert {agent.model for agent in asking.values()} == {model}
    bounded = {agent.budget.turns == 1 for agent in asking.values()}
    assert bounded == {choice == "local"}
    assert choice == "local" or all(agent.budget == Budget() for agent in asking.values())


def test_what_the_models_of_a_run_said_and_cost_is_told() -> None:
    result = PipelineResult(
        outcome="succeeded",
        event="push",
        revision="a" * 40,
        stages=(
            StageReport(agent="validator", outcome="passed", advice=ADVICE),
            StageReport(agent="tester", outcome="passed"),
            StageReport(
                agent="deployer",
                outcome="passed",
                environment="staging",
                deployment=DeploymentResult(
                    environment="staging", revision="a" * 40, outcome="deployed", advice=ADVICE
                ),
            ),
        ),
    )
    told = list(advice_lines(result))
    assert told[0] == (
        "validator asked smollm2: the model says review; rules say pass, it counts as review"
    )
    assert told[2] == "  1 turns, 2,100 tokens, not known: no price for this model, 12 s"
    assert told[3].startswith("deployer staging asked smollm2")
    assert "\x1b" not in "".join(told)
    assert len(told) == 6
