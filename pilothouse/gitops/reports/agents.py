"""What an agent did and said, for people: every word of a model is quoted as outside text."""

from pilothouse.gitops.reports.markdown import code, plain, table
from pilothouse.models.agents import AgentRequest, AgentResult, JudgedFinding
from pilothouse.models.model_calls import Usage
from pilothouse.models.runs import StageReport

MAX_FINDINGS = 20
"""Findings in a report; the others are counted."""


def agent_report(request: AgentRequest, result: AgentResult, *, over: bool) -> str:
    """One agent, while it thinks and after.

    Args:
        request: its task.
        result: what is known so far.
        over: whether it has ended.
    """
    budget = request.spec.budget
    head = f"**{plain(request.name)}** asks {code(request.spec.model)}, turn {result.turns + 1}"
    if over:
        head = f"**{plain(request.name)}**: {result.outcome}, verdict **{result.verdict}**"
    cost = f" of ${budget.cost:g}" if budget.cost is not None else ""
    rows = [
        ("turns", f"{result.turns} of {budget.turns}"),
        ("tokens", f"{tokens_of(result.usage)} of {budget.tokens:,}"),
        ("cost", f"{cost_of(result.usage)}{cost}"),
        # While it runs nobody moves a clock: the page says when it began.
        ("time", f"{result.seconds:.0f} s of {budget.time}" if over else f"at most {budget.time}"),
        ("tools", _tools(result)),
        ("rules say", request.rules),
        ("model says", result.model_verdict or "nothing yet"),
    ]
    parts = [head, table(("used", "so far"), rows)]
    if result.message:
        parts.append(plain(result.message, 500))
    parts += answer_lines(result)
    parts += [
        f"- not available: {code(each.tool)}: {plain(each.message)}" for each in result.left_out
    ]
    return "\n\n".join(part for part in parts if part)


def answer_lines(result: AgentResult) -> list[str]:
    """What the model answered: its summary and its findings with what they cite."""
    lines = []
    if result.summary:
        lines.append(f"The model's words, not a decision: {plain(result.summary, 2000)}")
    if result.needs_human:
        lines.append("**A person has to look.**")
    if result.findings:
        lines.append("\n".join(map(_finding, result.findings[:MAX_FINDINGS])))
    more = result.omitted + max(0, len(result.findings) - MAX_FINDINGS)
    if more:
        lines.append(f"and {more} more findings")
    return lines


def advice_line(advice: AgentResult) -> str:
    """How an agent was heard, in words of ours: nothing of a model is in them."""
    if advice.outcome != "answered":
        return advice.message or advice.outcome
    person = ", and asks for a person" if advice.needs_human else ""
    return f"the model says {advice.model_verdict or 'nothing'}{person}"


def advice_of(stage: StageReport) -> AgentResult | None:
    """What the stage's model said, a deployment's within it; none: no model was asked."""
    deployment = stage.deployment
    return stage.advice or (deployment.advice if deployment is not None else None)


def advice_section(agent: str, advice: AgentResult | None) -> str:
    """What an agent's model said, beside what the rules decided; empty if none was asked."""
    if advice is None or advice.outcome == "rules_only":
        return ""
    missing = ", ".join(f"{code(each.tool)} ({each.reason})" for each in advice.left_out)
    used = f"{advice.turns} turns, {tokens_of(advice.usage)} tokens, cost {cost_of(advice.usage)}"
    rows = [
        ("rules say", advice.rules),
        ("model says", advice.model_verdict or "nothing"),
        ("so it counts as", f"**{advice.verdict}**"),
        ("how it ended", plain(f"{advice.outcome}: {advice.message}".removesuffix(": "))),
        ("used", used),
        ("tools", _tools(advice)),
        ("not available", missing),
    ]
    head = (f"**{plain(agent)}**", code(advice.model))
    parts = [table(head, [row for row in rows if row[1]]), *answer_lines(advice)]
    return "\n\n".join(parts)


def cost_of(usage: Usage) -> str:
    """`$0.0123`; said to be unknown where no price is known."""
    return "not known: no price for this model" if usage.cost is None else f"${usage.cost:.4f}"


def tokens_of(usage: Usage) -> str:
    """`12,345 (1,000 cached)`."""
    total = f"{usage.input_tokens + usage.output_tokens:,}"
    cached = f"{usage.cached_tokens:,} cached" if usage.cached_tokens else ""
    notes = [note for note in (cached, "estimated" if usage.estimated else "") if note]
    return f"{total} ({', '.join(notes)})" if notes else total


def _tools(result: AgentResult) -> str:
    used = (f"{code(name)} {count}" for name, count in sorted(result.tools.items()))
    return ", ".join(used) or "none"


def _finding(judged: JudgedFinding) -> str:
    finding = judged.finding
    cited = ", ".join(each.id for each in finding.evidence)
    basis = f"cites {cited}" if judged.resolved else "a hypothesis"
    place = f" {code(finding.object)}" if finding.object else ""
    return f"- **{finding.severity}**{place}: {plain(finding.message, 500)} ({basis})"
