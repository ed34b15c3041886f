"""The stricter of rules and model, whatever the model does."""

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from pilothouse.models.agents import AgentAnswer, AgentOutcome, JudgedFinding
from pilothouse.models.findings import Verdict

OnError = Literal["rules", "human", "fail"]
_RANK: Final[dict[Verdict, int]] = {"pass": 0, "review": 1, "block": 2}
_NO_FAILURE: Final[frozenset[AgentOutcome]] = frozenset({"rules_only", "superseded"})
"""Ends without a model's answer that no `on_error` is for: none was configured, or wanted."""


class Conclusion(NamedTuple):
    """What the stage makes of it."""

    verdict: Verdict
    needs_human: bool
    message: str


def stricter(*verdicts: Verdict) -> Verdict:
    """The strictest of some verdicts."""
    return max(verdicts, key=_RANK.__getitem__)


def model_verdict(answer: AgentAnswer, findings: Iterable[JudgedFinding]) -> Verdict:
    """What the model's answer weighs, once its evidence has been looked up.

    It blocks only by an error that is resolved. Without one, a model that wants to block asks for
    a look instead; and findings count even if the model's own decision plays them down.
    """
    judged = list(findings)
    if any(each.resolved and each.finding.severity == "error" for each in judged):
        return "block"
    warns = any(each.finding.severity in {"error", "warning"} for each in judged)
    if warns or answer.needs_human or answer.decision != "pass":
        return "review"
    return "pass"


def conclude(
    rules: Verdict, outcome: AgentOutcome, model: Verdict | None, on_error: OnError
) -> Conclusion:
    """Combine. Never more permissive than the rules.

    Args:
        rules: what the deterministic core decided.
        outcome: how the agent ended.
        model: of `model_verdict`; only counts if the agent answered.
        on_error: what the pipeline file says counts without a usable answer.
    """
    if outcome == "answered" and model is not None:
        return Conclusion(stricter(rules, model), False, "")
    if outcome in _NO_FAILURE:
        return Conclusion(rules, False, "the rules alone decided")
    if on_error == "human":
        why = f"the model gave no usable answer ({outcome}): a person has to look"
        return Conclusion(stricter(rules, "review"), True, why)
    if on_error == "fail":
        return Conclusion("block", False, f"the model gave no usable answer ({outcome})")
    return Conclusion(rules, False, f"the model gave no usable answer ({outcome}): the rules count")
