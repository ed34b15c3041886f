"""What an agent saw, said, cited and cost, as plain text: lines from outside are made visible."""

from collections.abc import Callable, Iterator
from typing import Final

from pilothouse.gitops.plan.report.visible import visible
from pilothouse.gitops.reports.agents import cost_of, tokens_of
from pilothouse.models.agents import AgentResult, JudgedFinding
from pilothouse.models.conversations import (
    Conversation,
    Message,
    TextBlock,
    ToolCallBlock,
    ToolResultBlock,
)
from pilothouse.models.objects import canonical_json

EXCERPT: Final = 6
"""Lines of a text that is not asked for whole."""

Read = Callable[[str], str | None]
"""Digest -> text in the content store; None: it is not there."""


def transcript_text(
    result: AgentResult, conversation: Conversation | None, read: Read, *, full: bool
) -> list[str]:
    """The lines of one agent's story.

    Args:
        result: of its workflow, or what is known so far.
        conversation: the stored one; None: it is not in this content store.
        read: looks up what the agent was shown.
        full: whole texts instead of their first lines.
    """
    return [
        *_head(result),
        *_saw(result, read, full=full),
        *_said(conversation, full=full),
        *_cited(result),
    ]


def _head(result: AgentResult) -> Iterator[str]:
    model = visible(result.model) or "no model"
    yield f"{model}: {result.outcome}; rules say {result.rules}, " + (
        f"model says {result.model_verdict or 'nothing'}, so it counts as {result.verdict}"
    )
    if result.message:
        yield f"  {visible(result.message, 500)}"
    if result.summary:
        yield f"  in the model's words: {visible(result.summary, 2000)}"
    if result.needs_human:
        yield "  a person has to look"
    yield (
        f"cost      {result.turns} turns, {tokens_of(result.usage)} tokens, "
        f"{cost_of(result.usage)}; {result.seconds:.1f} s"
    )
    used = ", ".join(f"{name} {count}" for name, count in sorted(result.tools.items()))
    yield f"tools     {used or 'none were called'}"
    for each in result.left_out:
        yield f"  without {visible(each.tool)}: {visible(each.message, 300)}"


def _saw(result: AgentResult, read: Read, *, full: bool) -> Iterator[str]:
    yield f"saw       {len(result.shown)} texts; prompt {result.prompt or 'none'}"
    if full and result.prompt:
        yield from _indented(read(result.prompt), full=True)
    for material in result.shown:
        yield f"  {material.id:<5} {visible(material.title)}, {material.size:,} bytes"
        if full:
            yield from _indented(read(material.content), full=True)


def _said(conversation: Conversation | None, *, full: bool) -> Iterator[str]:
    if conversation is None:
        yield "said      (its conversation is not in this content store)"
        return
    yield f"said      {conversation.turns} turns"
    turn = 0
    for message in conversation.messages:
        if message.role == "assistant":
            turn += 1
            yield f"  turn {turn}"
        if message.role == "assistant" or turn:
            yield from _blocks(message, full=full)


def _blocks(message: Message, *, full: bool) -> Iterator[str]:
    for block in message.blocks:
        match block:
            case TextBlock():
                mark = "" if message.role == "assistant" else "we say: "
                yield from _indented(mark + block.text, full=full)
            case ToolCallBlock():
                given = block.raw or canonical_json(block.arguments).decode()
                yield f"    > {visible(block.name)} {visible(given, 2000 if full else 200)}"
            case ToolResultBlock():
                yield f"    < {'error, ' if block.is_error else ''}{len(block.text):,} characters"
                yield from _indented(block.text, full=full)


def _cited(result: AgentResult) -> Iterator[str]:
    count = len(result.findings) + result.omitted
    yield f"cited     {count} findings" + (f", {result.omitted} not here" if result.omitted else "")
    for judged in result.findings:
        yield from _finding(judged)
    for reason in result.hypotheses:
        yield f"  {visible(reason, 300)}"


def _finding(judged: JudgedFinding) -> Iterator[str]:
    finding = judged.finding
    basis = "every quote stands there" if judged.resolved else "a hypothesis"
    yield f"  {finding.severity:<8} {visible(finding.message, 500)} ({basis})"
    for citation in finding.evidence:
        yield f'           {citation.id} "{visible(citation.quote, 300)}"'


def _indented(text: str | None, *, full: bool) -> Iterator[str]:
    if text is None:
        yield "      (not in this content store)"
        return
    lines = text.splitlines()
    shown = lines if full else lines[:EXCERPT]
    yield from (f"      {visible(line, 2000 if full else 200)}" for line in shown)
    if len(lines) > len(shown):
        yield f"      ({len(lines) - len(shown)} more lines: --full)"
