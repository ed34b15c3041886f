"""Every output of every model: 10,000 of them, and no invariant is broken.

3,000 in `make test`, all of them in `make adversary`.
"""

import asyncio
from collections import Counter
from typing import Final, get_args

from hypothesis import given, settings

from pilothouse.models.agents import AgentOutcome
from tests.adversary.conftest import BOUNDED, all_of
from tests.adversary.invariants import check
from tests.adversary.theatre import Record, play
from tests.adversary.trace import Trace
from tests.adversary.traces import traces

UNREACHABLE: Final = {"rules_only", "superseded", "misdeclared"}
"""Ends that need no model, a newer revision, or a file that is missing."""

RARE: Final = 2
"""What happens less often is not tried. How often it does depends on what else is loaded, as
Hypothesis draws from the constants of all modules."""


def test_no_output_of_a_model_breaks_an_invariant(loop: asyncio.AbstractEventLoop) -> None:
    seen: Counter[str] = Counter()

    @settings(BOUNDED, max_examples=all_of(10_000, here=3_000))
    @given(traces())
    def run(trace: Trace) -> None:
        record = loop.run_until_complete(play(trace))
        check(record)
        seen.update(_what_happened(record))

    run()
    # An adversary that gets nowhere would prove nothing.
    rare = {each for each in {*get_args(AgentOutcome)} - UNREACHABLE if seen[each] < RARE}
    assert not rare, f"hardly ever: {rare}"
    for kind in ("read", "write", "external", "built in", "blocked by evidence", "read more"):
        assert seen[kind] >= RARE, f"{kind}: {seen[kind]}"


def _what_happened(record: Record) -> list[str]:
    result = record.result
    happened: list[str] = [result.outcome, *(e.request.spec.kind for e in record.effects)]
    happened += ["built in" for each in record.effects if not each.request.spec.server]
    if result.outcome == "answered" and result.verdict != result.rules == "pass":
        happened.append(f"{result.verdict}ed by a model")
    if any(each.resolved and each.finding.severity == "error" for each in result.findings):
        happened.append("blocked by evidence")
    happened += ["read more" for text in record.asked("call_tool") if '"readable":["' in text]
    return happened


@settings(BOUNDED, max_examples=all_of(1_000, here=200))
@given(trace=traces())
def test_the_same_outputs_have_the_same_consequences(
    trace: Trace, loop: asyncio.AbstractEventLoop
) -> None:
    # I12: a replay decides the same.
    first, again = (loop.run_until_complete(play(trace)) for _ in range(2))
    assert first.travelled == again.travelled
    assert first.called == again.called
    assert first.result == again.result
