"""What an agent said is weighed by code: evidence, verdict, budget, loops."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.gitops.agents.answers import MAX_ANSWER, clean_answer, parse_answer
from pilothouse.gitops.agents.budget import Spent, next_call, note_read, spend
from pilothouse.gitops.agents.evidence import judge
from pilothouse.gitops.agents.verdict import OnError, conclude, model_verdict, stricter
from pilothouse.gitops.redaction import Redactor
from pilothouse.models.agents import AgentAnswer, AgentOutcome, JudgedFinding
from pilothouse.models.findings import Severity, Verdict
from pilothouse.models.model_calls import Usage
from pilothouse.models.pipeline import Budget

RANK = {"pass": 0, "review": 1, "block": 2}
VERDICTS = st.sampled_from(get_args(Verdict))
OUTCOMES = st.sampled_from(get_args(AgentOutcome))
SHOWN = {"E1": "OOMKilled  exit\ncode 137", "E2": "image: api:2"}


def finding(severity: str = "error", **evidence: str) -> dict[str, Any]:
    cited = [{"id": id, "quote": quote} for id, quote in evidence.items()]
    return {"severity": severity, "message": "It runs out of memory.", "evidence": cited}


def answer(*findings: dict[str, Any], decision: str = "block", **more: Any) -> AgentAnswer:
    document = {"decision": decision, "summary": "s", "findings": findings, **more}
    parsed = parse_answer(json.dumps(document).encode())
    assert parsed.answer is not None, parsed.problem
    return parsed.answer


# -- evidence -------------------------------------------------------------------------------------


def test_a_quote_that_stands_in_what_was_shown_resolves_a_finding() -> None:
    judged, reasons = judge(answer(finding(E1="OOMKilled exit code\n137")), SHOWN)
    assert judged[0].resolved
    assert judged[0].finding.severity == "error"
    assert reasons == ()


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        ({}, "cites nothing"),
        ({"E9": "OOMKilled"}, "E9 was not shown"),
        ({"E1": "image: api:2"}, "does not stand in E1"),
        ({"E1": ""}, "too short"),
        ({"E1": " x "}, "too short"),
        ({"E1": "OOMKilled", "E2": "invented"}, "does not stand in E2"),
    ],
)
def test_any_other_finding_is_a_hypothesis_and_only_warns(
    evidence: dict[str, str], why: str
) -> None:
    said = answer(finding(**evidence))
    judged, reasons = judge(said, SHOWN)
    assert not judged[0].resolved
    assert judged[0].finding.severity == "warning"
    assert why in reasons[0]
    assert model_verdict(said, judged) == "review"


def test_what_is_less_than_a_warning_stays_so() -> None:
    judged, _ = judge(answer(finding("info")), SHOWN)
    assert judged[0].finding.severity == "info"


# -- verdict --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("findings", "decision", "more", "weighs"),
    [
        ([finding(E1="OOMKilled")], "pass", {}, "block"),
        ([finding(E1="OOMKilled")], "block", {}, "block"),
        ([finding("warning", E1="OOMKilled")], "pass", {}, "review"),
        ([finding("info", E1="OOMKilled")], "pass", {}, "pass"),
        ([], "block", {}, "review"),
        ([], "review", {}, "review"),
        ([], "pass", {}, "pass"),
        ([], "pass", {"needs_human": True}, "review"),
    ],
)
def test_a_models_verdict_is_what_its_evidence_carries(
    findings: list[dict[str, Any]], decision: str, more: dict[str, Any], weighs: str
) -> None:
    said = answer(*findings, decision=decision, **more)
    assert model_verdict(said, judge(said, SHOWN)[0]) == weighs


@given(VERDICTS, OUTCOMES, st.none() | VERDICTS, st.sampled_from(get_args(OnError)))
def test_no_end_of_an_agent_is_more_permissive_than_the_rules(
    rules: Verdict, outcome: AgentOutcome, model: Verdict | None, on_error: OnError
) -> None:
    concluded = conclude(rules, outcome, model, on_error)
    assert RANK[concluded.verdict] >= RANK[rules]
    if outcome == "answered" and model is not None:
        assert RANK[concluded.verdict] >= RANK[model]


@given(
    st.builds(
        AgentAnswer,
        decision=VERDICTS,
        summary=st.text(max_size=20),
        needs_human=st.booleans(),
    ),
    st.lists(st.tuples(st.booleans(), st.sampled_from(get_args(Severity)))),
)
def test_only_a_resolved_error_blocks(
    said: AgentAnswer, drawn: list[tuple[bool, Severity]]
) -> None:
    model = answer(finding()).findings[0]
    judged = [
        JudgedFinding(finding=model.model_copy(update={"severity": severity}), resolved=resolved)
        for resolved, severity in drawn
    ]
    assert (model_verdict(said, judged) == "block") == ((True, "error") in drawn)


@pytest.mark.parametrize("outcome", ["budget", "loop", "refused", "truncated", "malformed"])
@pytest.mark.parametrize(
    ("on_error", "verdict", "human"),
    [("rules", "pass", False), ("human", "review", True), ("fail", "block", False)],
)
def test_without_an_answer_the_pipeline_file_says_what_counts(
    outcome: AgentOutcome, on_error: OnError, verdict: str, human: bool
) -> None:
    # The model's own verdict is given as well: it must not count.
    concluded = conclude("pass", outcome, "block", on_error)
    assert (concluded.verdict, concluded.needs_human) == (verdict, human)


def test_without_a_model_nothing_failed() -> None:
    assert conclude("pass", "rules_only", None, "fail").verdict == "pass"
    assert stricter("pass", "block", "review") == "block"


# -- reading an answer ----------------------------------------------------------------------------

GOOD = '{"decision": "pass", "summary": "fine"}'


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ('{"decision": "block", "summary": "x", "decision": "pass"}', "twice"),
        ('{"decision": "pass", "summary": "x", "findings": [{"a": 1, "a": 2}]}', "twice"),
        ('{"decision": "pass", "summary": "x", "approve": true}', "does not have"),
        (
            '{"decision":"pass","summary":"x","findings":[{"severity":"info","message":"m","x":1}]}',
            "does not have",
        ),
        (GOOD[:-5], "complete JSON"),
        ("", "complete JSON"),
        ("\xff", "complete JSON"),
        ("[]", "JSON object"),
        ('"pass"', "JSON object"),
        ('{"decision": "approve", "summary": "x"}', "decision"),
        ('{"decision": "pass"}', "summary"),
        ('{"decision": "pass", "summary": "x", "needs_human": "no"}', "needs_human"),
        ('{"decision": "pass", "summary": NaN}', "complete JSON"),
        (json.dumps({"decision": "pass", "summary": "x" * 2001}), "summary"),
        (json.dumps({"decision": "pass", "summary": "x" * MAX_ANSWER}), "bytes"),
        ("[" * 50_000, "nested"),
        (json.dumps({"decision": "pass", "summary": "", "findings": [finding()] * 51}), "findings"),
    ],
)
def test_what_is_not_exactly_the_form_is_no_answer(raw: str, problem: str) -> None:
    parsed = parse_answer(raw.encode("latin-1"))
    assert parsed.answer is None
    assert problem in parsed.problem
    assert problem in parsed.hint


def test_a_problem_never_quotes_the_answer() -> None:
    raw = json.dumps({"decision": "canary", "summary": 5, "canary": "canary"})
    parsed = parse_answer(raw.encode())
    assert "canary" not in parsed.problem + parsed.hint


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_an_answer_or_a_problem(data: bytes) -> None:
    parsed = parse_answer(data)
    assert (parsed.answer is None) == bool(parsed.problem)


def test_an_answers_words_are_cleaned_too() -> None:
    said = answer(finding(E1="password=hunter2-canary"), summary="\x1b[31mtoken=hunter2-canary")
    cleaned = clean_answer(said, Redactor())
    assert "hunter2" not in cleaned.model_dump_json()
    assert "\x1b" not in cleaned.summary


# -- budget ---------------------------------------------------------------------------------------


def used(turns: int = 1, tokens: int = 100, cost: float | None = 0.0) -> Spent:
    spent = Spent()
    for _ in range(turns):
        spent = spend(spent, Usage(calls=1, input_tokens=tokens, cost=cost))
    return spent


def test_the_last_turn_has_to_be_the_answer_and_then_it_ends() -> None:
    budget = Budget(turns=3)
    may = [next_call(used(turns), budget, 0).may for turns in range(5)]
    assert may == ["free", "free", "answer", "stop", "stop"]
    assert next_call(used(3), budget, 0).outcome == "budget"


@pytest.mark.parametrize(
    ("spent", "budget", "seconds", "may"),
    [
        (used(2, 1_000), Budget(tokens=10_000), 0, "free"),
        (used(8, 1_000), Budget(tokens=9_500), 0, "answer"),
        (used(9, 1_000), Budget(tokens=9_000), 0, "stop"),
        (used(), Budget(time="100s"), 50, "free"),
        (used(), Budget(time="100s"), 91, "answer"),
        (used(), Budget(time="100s"), 100, "stop"),
        (used(4, cost=0.1), Budget(cost=1), 0, "free"),
        (used(4, cost=0.2), Budget(cost=1), 0, "answer"),
        (used(5, cost=0.2), Budget(cost=1), 0, "stop"),
        (used(1, cost=None), Budget(cost=1), 0, "stop"),
        (used(1, cost=None), Budget(), 0, "free"),
    ],
)
def test_each_bound_is_checked_before_a_call(
    spent: Spent, budget: Budget, seconds: float, may: str
) -> None:
    assert next_call(spent, budget, seconds).may == may


@given(
    st.lists(st.integers(0, 5_000), max_size=60),
    st.integers(1, 20),
    st.integers(1, 50_000),
    st.floats(0, 400),
)
def test_no_model_makes_more_calls_than_its_budget(
    calls: list[int], turns: int, tokens: int, seconds: float
) -> None:
    budget, spent = Budget(turns=turns, tokens=tokens, time="5m"), Spent()
    made = 0
    for size in calls:
        before = next_call(spent, budget, seconds)
        if before.may == "stop":
            break
        assert spent.tokens < tokens
        assert seconds < 300
        spent = spend(spent, Usage(calls=1, input_tokens=size))
        made += 1
    assert made <= turns
    assert spent.tokens < tokens + max(calls, default=0)


def test_the_same_read_asked_for_again_and_again_ends_the_conversation() -> None:
    spent, done = Spent(), []
    for _ in range(4):
        reading = note_read(spent, "sha256:same")
        spent = reading.spent
        done.append(reading.do)
    assert done == ["run", "run", "repeat", "stop"]
    assert note_read(spent, "sha256:other").do == "run"
