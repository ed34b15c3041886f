"""The pages for people: what others wrote stays text, whatever they wrote."""

import shlex
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from pilothouse.gitops.reports import (
    deployment_report,
    environment_report,
    monitor_report,
    pipeline_report,
    repository_report,
    rollback_report,
)
from pilothouse.gitops.reports.agents import advice_section
from pilothouse.gitops.reports.commands import approve_line, reject_line, resume_line, signal_line
from pilothouse.gitops.reports.markdown import block, bullets, code, paragraphs, plain, table
from pilothouse.models import names
from pilothouse.models.agents import AgentResult, Citation, JudgedFinding, ModelFinding
from pilothouse.models.environment import (
    Correction,
    EnvironmentState,
    Hold,
    LockRequest,
    Release,
)
from pilothouse.models.findings import Finding, report
from pilothouse.models.health import Diagnosis, DriftReport, Evidence, HealthReport, ObjectHealth
from pilothouse.models.model_calls import Usage
from pilothouse.models.objects import ObjectChange, ObjectRef, Plan
from pilothouse.models.repository import RepositoryRef
from pilothouse.models.runs import (
    DeploymentResult,
    MonitorRequest,
    MonitorResult,
    PipelineResult,
    RepositoryState,
    RollbackRequest,
    RollbackResult,
    StageReport,
)
from pilothouse.models.tools import LeftOut

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
NASTY = (
    "![x](http://evil.example/p.png) [a](javascript:alert(1)) <img src=x onerror=alert(1)> "
    "**b** `c` | d | ~~e~~ <!-- &amp; \\ # h"
)
PARTS = st.sampled_from([
    *"ab1.-=+*_`~|<>[](){}#!&\\:/'\" \n\r\t\0",
    "\u202e",
    "\u200b",
    "\u2028",
    "\x1b[31m",
    "```",
    "---",
    "1. ",
    "<script>",
    "http://evil.example",
    "![a](b)",
    "| --- |",
    "&lt;",
])
UNTRUSTED = st.lists(PARTS, max_size=14).map("".join) | st.text(max_size=40)
QUIET = {"text", "text_special", "softbreak"}
DIGEST = "sha256:" + "c" * 64
REVISION = "a" * 40
REPOSITORY = RepositoryRef(url="https://example.org/app")
ID = names.deployment_id(REPOSITORY.slug, "staging", REVISION)


def inline(text: str) -> list[Token]:
    return [child for token in MARKDOWN.parse(text) for child in token.children or ()]


def kinds(text: str) -> list[str]:
    return [token.type for token in MARKDOWN.parse(text)]


def said(text: str) -> str:
    return "".join(token.content for token in inline(text))


def dangerous(text: str) -> list[str]:
    """Everything in a page that untrusted text could have smuggled in."""
    tokens = [*MARKDOWN.parse(text), *inline(text)]
    found = [each.type for each in tokens if each.type.startswith(("html", "image", "link", "h"))]
    stray = {unicodedata.category(character) for character in text if character != "\n"}
    return found + sorted(category for category in stray if category.startswith("C"))


# -- quoting --------------------------------------------------------------------------------------


@given(UNTRUSTED)
@example("- a")
@example("1. a")
@example("---")
@example("    code")
@example(NASTY)
def test_plain_text_is_one_paragraph_of_text(text: str) -> None:
    quoted = plain(text)
    assert kinds(quoted) in ([], ["paragraph_open", "inline", "paragraph_close"])
    assert {token.type for token in inline(quoted)} <= QUIET
    assert "\n" not in quoted and dangerous(quoted) == []


@given(UNTRUSTED)
def test_plain_text_says_what_was_written(text: str) -> None:
    visible = [c if unicodedata.category(c)[0] != "C" else " " for c in text]
    assert said(plain(text)) == " ".join("".join(visible).split())


@given(st.text(min_size=1, max_size=400), st.integers(2, 50))
def test_plain_text_is_cut_and_shows_that_it_was(text: str, limit: int) -> None:
    whole, cut = said(plain(text, 10_000)), said(plain(text, limit))
    assert len(cut) <= limit
    assert cut == whole or cut.endswith("\u2026")


@given(UNTRUSTED)
def test_a_block_holds_its_content_whatever_that_is(text: str) -> None:
    (fence, after) = MARKDOWN.parse(block(text) + "\n\nafter")[0], kinds(block(text) + "\n\nafter")
    assert after == ["fence", "paragraph_open", "inline", "paragraph_close"]
    assert fence.info == ""
    stray = {unicodedata.category(c)[0] for c in fence.content if c != "\n"}
    assert "C" not in stray


def test_a_block_keeps_lines_and_columns() -> None:
    assert block("a\tb\r\nc\x1b[0m") == "```\na   b\nc[0m\n```"


@given(UNTRUSTED)
def test_code_is_one_piece_or_nothing(text: str) -> None:
    quoted = code(text)
    assert [token.type for token in inline(quoted)] in ([], ["code_inline"])
    assert "|" not in quoted and "\n" not in quoted


@given(st.lists(st.tuples(UNTRUSTED, UNTRUSTED), min_size=1, max_size=4))
def test_a_table_keeps_its_shape(rows: list[tuple[str, str]]) -> None:
    text = table(("a", "b"), [(plain(first), code(second)) for first, second in rows])
    assert kinds(text).count("tr_open") == len(rows) + 1
    assert kinds(text).count("td_open") == len(rows) * 2
    assert kinds(text)[0] == "table_open" and kinds(text)[-1] == "table_close"


@given(st.lists(UNTRUSTED.filter(lambda text: plain(text) != ""), min_size=1, max_size=4))
def test_a_list_keeps_its_shape(lines: list[str]) -> None:
    text = bullets(plain(line) for line in lines)
    assert kinds(text).count("list_item_open") == len(lines)
    assert kinds(text).count("bullet_list_open") == 1
    assert {token.type for token in inline(text)} <= QUIET


def test_empty_parts_leave_no_gap() -> None:
    assert paragraphs("", "a", "", "b", "") == "a\n\nb"


# -- commands -------------------------------------------------------------------------------------


@given(UNTRUSTED)
def test_a_line_to_paste_is_one_command_whatever_the_id(workflow_id: str) -> None:
    workflow_id = workflow_id.replace("\0", "").replace("\n", "")
    line = signal_line(workflow_id, names.SIGNAL_HOLD, {"by": "it's me"})
    words = shlex.split(line.replace(" \\\n", " "))
    assert words[:3] == ["temporal", "workflow", "signal"]
    assert workflow_id in words
    assert '{"by": "it\'s me"}' in words
    assert len(words) == 9


def test_the_lines_name_the_signal_the_workflow_and_the_plan() -> None:
    assert f"--workflow-id {ID}" in approve_line(ID, DIGEST)
    assert "--name approve" in approve_line(ID, DIGEST)
    assert '"plan": "cccccccccccc"' in approve_line(ID, DIGEST)
    assert "--name reject" in reject_line(ID, DIGEST)
    assert "--name resume" in resume_line("environment/example.org/app/staging")


# -- pages ----------------------------------------------------------------------------------------


def advice(text: str) -> AgentResult:
    """What a model said, with the same untrusted text wherever it may write."""
    found = ModelFinding(
        severity="error", message=text[:500], object=text, evidence=(Citation(id="E3"),)
    )
    return AgentResult(
        outcome="answered",
        rules="pass",
        model_verdict="review",
        verdict="review",
        summary=text,
        findings=(
            JudgedFinding(finding=found, resolved=True),
            JudgedFinding(finding=found, resolved=False),
        ),
        model=text,
        turns=2,
        tools={text: 1},
        usage=Usage(calls=2, input_tokens=1200, cost=None),
        left_out=(LeftOut(tool=text, reason="unclassified", message=text),),
        message=text,
    )


def test_the_verdicts_of_rules_and_model_stand_side_by_side() -> None:
    page = advice_section("validator", advice("words"))
    for row in ("rules say| pass|", "model says| review|", "so it counts as| **review**|"):
        assert row in page.replace("\u00a0", "")
    assert "cites E3" in page
    assert "a hypothesis" in page
    assert "not known: no price" in page
    assert "1,200 tokens" in page
    assert "`words` (unclassified)" in page


def test_who_asked_no_model_has_no_section() -> None:
    assert advice_section("validator", None) == ""
    assert advice_section("x", AgentResult(outcome="rules_only", verdict="pass")) == ""


def pages(text: str) -> dict[str, str]:
    """Every page, with the same untrusted text wherever others may write."""
    ref = ObjectRef(api_version="v1", kind=text, namespace=text, name=text)
    finding = Finding(
        rule="schema",
        severity="error",
        file=text,
        line=3,
        object=text,
        message=text,
        fix=text,
    )
    validation = report([finding], 1)
    evidence = Evidence(kind="log", source=text, text=text)
    diagnosis = Diagnosis(
        object=ref, cause="crash_loop", summary=text, final=True, evidence=(evidence,)
    )
    plan = Plan(
        digest=DIGEST,
        revision=REVISION,
        environment="staging",
        counts={"change": 1},
        changes=(ObjectChange(action="change", object=ref, fields=(text,)),),
        findings=(finding,),
    )
    deployed = DeploymentResult(
        outcome="failed",
        environment="staging",
        revision=REVISION,
        message=text,
        validation=validation,
        plan=plan,
        diagnosis=diagnosis,
        rollback=RollbackResult(outcome="conflict", message=text),
        advice=advice(text),
    )
    stage = StageReport(
        agent="tester", outcome="failed", summary=text, validation=validation, advice=advice(text)
    )
    run = PipelineResult(
        revision=REVISION, event="push", outcome="failed", stages=(stage,), message=text
    )
    health = HealthReport(
        status="Degraded",
        objects=1,
        waiting_for=(ObjectHealth(object=ref, status="Degraded", message=text),),
        diagnoses=(diagnosis,),
    )
    look = MonitorResult(
        verdict="degraded",
        health=health,
        drift=DriftReport(drifted=(ref,)),
        advice=advice(text),
        message=text,
    )
    past = Release(
        revision=REVISION, plan=DIGEST, outcome="bad", at="2026-01-01", deployment="x", reason=text
    )
    state = EnvironmentState(
        holder=LockRequest(holder=text, revision=REVISION),
        releases=(past,),
        hold=Hold(kind="manual", reason=text, by=text, since="2026-01-01"),
        corrections=(Correction(at="2026-01-01", revision=REVISION, differences=(text,)),),
        notices=(text,),
    )
    reporting = state.model_copy(update={"hold": None, "correcting_stopped": text})
    rollback = RollbackRequest(repository=REPOSITORY, environment="staging", reason=text)
    ended = RollbackResult(outcome="failed", bad_revision=text, to_revision=text, message=text)
    return {
        "deployment": deployment_report("done", deployed, (text,)),
        "pipeline": pipeline_report(run, "", "", (text,)),
        "rollback": rollback_report("done", rollback, ended),
        "monitor": monitor_report(
            MonitorRequest(repository=REPOSITORY, environment="staging"), look
        ),
        "environment": environment_report("environment/x", "staging", state),
        "reporting": environment_report("environment/x", "staging", reporting),
        "repository": repository_report("example.org/app", RepositoryState(notices=(text,))),
    }


@given(UNTRUSTED)
@example(NASTY)
def test_no_page_lets_untrusted_text_become_markup(text: str) -> None:
    for name, page in pages(text).items():
        assert dangerous(page) == [], name


@given(UNTRUSTED)
@example("\n\n# heading\n\n")
@example("|x|\n|---|\n")
def test_untrusted_text_does_not_change_the_shape_of_a_page(text: str) -> None:
    kinds_of = {name: _shape(page) for name, page in pages("harmless").items()}
    for name, page in pages(f"x{text}x").items():
        assert _shape(page) == kinds_of[name], name


def _shape(page: str) -> list[str]:
    return [kind for kind in kinds(page) if kind.endswith(("_open", "_close", "fence"))]


@pytest.mark.parametrize("name", ["deployment", "pipeline", "rollback", "monitor", "environment"])
def test_each_page_says_what_was_reported(name: str) -> None:
    assert "the disk is full" in pages("the disk is full")[name]
