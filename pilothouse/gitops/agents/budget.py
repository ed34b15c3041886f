"""What an agent has used, what it may still use, and when it goes in circles."""

from typing import Final, Literal, NamedTuple

from pilothouse.models.agents import AgentOutcome
from pilothouse.models.base import Contract
from pilothouse.models.model_calls import Usage
from pilothouse.models.pipeline import Budget, duration

MAX_IDENTICAL_READS: Final = 3
"""The third identical read call is not run but answered; one more ends the conversation."""
RESERVE: Final = 0.1
"""Of tokens, cost and time: with less than this left, the next call has to be the answer."""


class Spent(Contract):
    """What one agent has used so far: part of its workflow's state."""

    turns: int = 0
    usage: Usage = Usage()
    largest_call: int = 0
    """Tokens of the largest call so far: the next one is hardly smaller."""
    reads: dict[str, int] = {}
    """Digest of a read call's name and arguments -> how often it was asked for."""

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.usage.input_tokens + self.usage.output_tokens


class Next(NamedTuple):
    """What the next model call may be."""

    may: Literal["free", "answer", "stop"]
    """`answer`: only the result tool; `stop`: no call at all."""
    outcome: AgentOutcome | None = None
    message: str = ""


def spend(spent: Spent, usage: Usage) -> Spent:
    """Add one model call. A cost that is not known makes the sum not known."""
    total = spent.usage
    cost = None if total.cost is None or usage.cost is None else total.cost + usage.cost
    added = Usage(
        calls=total.calls + usage.calls,
        input_tokens=total.input_tokens + usage.input_tokens,
        output_tokens=total.output_tokens + usage.output_tokens,
        cached_tokens=total.cached_tokens + usage.cached_tokens,
        cache_write_tokens=total.cache_write_tokens + usage.cache_write_tokens,
        estimated=total.estimated or usage.estimated,
        cost=cost,
    )
    largest = max(spent.largest_call, usage.input_tokens + usage.output_tokens)
    return spent.model_copy(
        update={"turns": spent.turns + 1, "usage": added, "largest_call": largest}
    )


def next_call(spent: Spent, budget: Budget, elapsed_seconds: float) -> Next:
    """Decide before each model call. The call before a bound is the one that must answer.

    Each bound is checked with what is known before the call, so the last call may pass the bound
    of tokens and cost by its own size, never by more.
    """
    if budget.cost is not None and spent.usage.cost is None:
        return Next("stop", "budget", "the price of the model is not known, so no cost is bounded")
    bounds = _bounds(spent, budget, elapsed_seconds)
    for each in bounds:
        if each.used >= each.bound:
            return Next("stop", "budget", f"{each.used:g} of {each.bound:g} {each.unit} are used")
    return Next("answer" if any(each.is_near for each in bounds) else "free")


class _Bound(NamedTuple):
    unit: str
    used: float
    bound: float
    step: float
    """What the next call is likely to use."""
    reserve: float = 0.0

    @property
    def is_near(self) -> bool:
        left = self.bound - self.used
        return left < 2 * self.step or left < self.reserve * self.bound


def _bounds(spent: Spent, budget: Budget, elapsed_seconds: float) -> list[_Bound]:
    seconds = duration(budget.time).total_seconds()
    bounds = [
        _Bound("turns", spent.turns, budget.turns, 1),
        _Bound("tokens", spent.tokens, budget.tokens, spent.largest_call, RESERVE),
        _Bound("seconds", elapsed_seconds, seconds, 0, RESERVE),
    ]
    if budget.cost is not None:
        cost = spent.usage.cost or 0.0
        mean = cost / max(1, spent.turns)
        bounds.append(_Bound("US dollars", cost, budget.cost, mean, RESERVE))
    return bounds


class Reading(NamedTuple):
    """What to do with a read call."""

    spent: Spent
    do: Literal["run", "repeat", "stop"]
    """`repeat`: do not run it, say `hint`; `stop`: the agent goes in circles."""
    hint: str = ""


def note_read(spent: Spent, call: str) -> Reading:
    """Count one read call. Only for tools that read: a write may well be asked for twice.

    Args:
        spent: the state so far.
        call: digest of the tool's name and its canonical arguments.
    """
    times = spent.reads.get(call, 0) + 1
    counted = spent.model_copy(update={"reads": {**spent.reads, call: times}})
    if times > MAX_IDENTICAL_READS:
        return Reading(counted, "stop", f"the same call was asked for {times} times")
    if times == MAX_IDENTICAL_READS:
        hint = (
            "You have asked exactly this before and have the result. Use it, ask something else, "
            "or give your answer."
        )
        return Reading(counted, "repeat", hint)
    return Reading(counted, "run")
