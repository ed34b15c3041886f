"""What an adversary lets a model say, as Hypothesis draws it.

Most choices are one draw out of a prepared list: each draw costs, and a test makes 10,000 runs.
"""

import json
from itertools import product
from typing import Any, Final

from hypothesis import strategies as st

from pilothouse.models.model_calls import Usage
from tests.adversary.trace import Fault, Line
from tests.adversary.words import EVERYTHING, NAMES, NEAR_NAMES, Long

texts = st.sampled_from(EVERYTHING) | st.text(max_size=30)
_HALF: Final = "half of a character: \ud800"


def _nest(depth: int) -> object:
    value: object = "x"
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


scalars = st.sampled_from([None, True, 0, -1, 10**30, 1e308, _HALF]) | texts
objects = st.dictionaries(
    st.sampled_from(["text", "ref", "url", "command", "server", "decision"]) | texts,
    scalars
    | st.sampled_from([_nest(3), _nest(50), _nest(200), [Long("y" * 70_000)], {"k": [{}]}])
    | st.recursive(scalars, lambda inner: st.lists(inner, max_size=2), max_leaves=4),
    max_size=3,
).map(lambda value: Long(json.dumps(value)))  # half characters are escaped, as models do it
_ARGUMENTS: Final = (
    "{}",
    '{"text": "pods"}',
    '{"text": "nodes"}',
    *('{"ref": "$REF"}',) * 3,
    '{"ref": "$REF", "grep": "pass", "start": 3, "lines": 9}',
    *('{"ref": "$OTHER"}',) * 3,
    '{"idempotency_key": "mine"}',
    *(Long(json.dumps({"text": text})) for text in EVERYTHING),
)
_BROKEN: Final = (
    *(
        '{"text": 1, "text": "twice"}',
        '{"text": ',
        "[1]",
        "NaN",
        "",
        '{"ref": "$REF", "start": 1e9}',
    ),
    *(Long('{"a":' * 400 + "1" + "}" * 400), Long('{"text": "' + "z" * 70_000 + '"}')),
)
_IDS: Final = ("a", "b", "a", "", "a b", Long("i" * 300))
_usual_calls = st.sampled_from([
    (identity, name, arguments)
    for (name, arguments), identity in zip(
        product(NAMES, _ARGUMENTS), _IDS * len(NAMES) * len(_ARGUMENTS), strict=False
    )
])
_calls = (
    _usual_calls
    | _usual_calls
    | st.tuples(
        st.sampled_from(_IDS),
        st.sampled_from(NAMES + NEAR_NAMES) | texts,
        st.sampled_from(_BROKEN) | objects,
    )
)
_die = st.integers(0, 15)
_pace: st.SearchStrategy[dict[str, Any]] = st.sampled_from([
    {"usage": usage, "seconds": seconds}
    for usage, seconds in product(
        (
            None,
            Usage(calls=1),
            Usage(calls=1, input_tokens=100, output_tokens=10),
            Usage(calls=1, input_tokens=5_000, output_tokens=4_096),
        ),
        (0.0, 0.0, 0.0, 1.0, 40.0),
    )
])


_cited = st.sampled_from([
    {"id": identity, "quote": quote[:300]}
    for identity, quote in (
        *(("E1", "$QUOTE0"), ("E2", "$QUOTE1"), ("E1", "$QUOTE1")) * 12,
        *product(("E1", "E2", "E3"), ("$QUOTE0", "$QUOTE1", "$QUOTE2")),
        *product(("E1", "E9999", "E0 ", "rules"), EVERYTHING),
    )
])
_found = st.fixed_dictionaries({
    "severity": st.sampled_from(["error", "error", "error", "warning", "info"]),
    "message": st.sampled_from([text[:500] for text in EVERYTHING]),
    "evidence": st.lists(_cited, min_size=1, max_size=2) | st.just([]),
    "path": st.sampled_from(EVERYTHING),
})
_findings = st.lists(_found, max_size=3)
_ends = st.sampled_from([
    {"decision": decision, "needs_human": asks, "recovery": recovery}
    for decision, asks, recovery in product(
        ("pass", "pass", "review", "block"), (False, True), ("", "rollback", "retry")
    )
])


@st.composite
def _results(draw: st.DrawFn) -> str:
    """Arguments of the result tool: valid ones, nearly valid ones, and anything."""
    result: dict[str, Any] = {
        **draw(_ends),
        "summary": draw(texts)[:2000],
        "findings": draw(_findings),
    }
    match draw(_die):
        case 15:
            result["findings"] = result["findings"] * 16
        case 14:
            result["findings"] = result["findings"] * 200
        case 13:
            result.pop("decision")
        case 12:
            result["verdict"] = "pass"
        case 11:
            result["recovery"] = "rm -rf /"
        case 10:
            return draw(objects)
        case _:
            pass
    return Long(json.dumps(result))


_result = _results()
_beside = st.lists(_calls, max_size=1)
_several = st.lists(_calls, min_size=1, max_size=4)
_coin = st.booleans()
_times = st.sampled_from([4, 20, 40])
_faults: st.SearchStrategy[Fault] = st.sampled_from(["unavailable", "refused"])


@st.composite
def lines(draw: st.DrawFn) -> Line:
    """One reply."""
    pace = draw(_pace)
    match draw(_die):
        case 15:
            return Line(text=draw(texts), **pace)
        case 14:
            return Line(text=draw(texts), ending="max_tokens", calls=(draw(_calls),), **pace)
        case 13:
            return Line(text=draw(texts), ending="refusal", calls=(draw(_calls),), **pace)
        case 12:
            return Line(fault=draw(_faults), **pace)
        case 11 if draw(_coin):
            return Line(calls=tuple(("n", "$4", f'{{"text": "$TURN-{n}"}}') for n in range(32)))
        case 11:
            return Line(calls=(draw(_calls),) * draw(_times), **pace)
        case 7 | 8 | 9 | 10:
            answer = ("r", "submit_answer", draw(_result))
            return Line(draw(texts), (*draw(_beside), answer), **pace)
        case _:
            return Line(calls=tuple(draw(_several)), **pace)
