"""What a model says is so, looked up in what it was shown."""

from collections.abc import Mapping
from typing import Final

from pilothouse.models.agents import AgentAnswer, Citation, JudgedFinding, ModelFinding
from pilothouse.models.findings import Severity
from pilothouse.models.tools import EvidenceId

MIN_QUOTE: Final = 4
"""Characters: shorter words stand in every text and prove nothing."""


def judge(
    answer: AgentAnswer, shown: Mapping[EvidenceId, str]
) -> tuple[tuple[JudgedFinding, ...], tuple[str, ...]]:
    """Resolve each finding's citations.

    A finding is resolved if it cites something, each id was shown to this agent, and each quote
    stands in what has that id, spaces and line ends aside. Any other is a hypothesis: it may warn
    and never blocks.

    Args:
        answer: what the model said, cleaned like what it was shown.
        shown: id -> the text as it was shown, without its frame.

    Returns:
        The findings in their order, and for each hypothesis why it is one.
    """
    normal: dict[str, str] = {}
    judged, reasons = [], []
    for number, finding in enumerate(answer.findings, 1):
        reason = _unresolved(finding, shown, normal)
        if reason:
            reasons.append(f"finding {number} is a hypothesis: {reason}")
            severity: Severity = "warning" if finding.severity == "error" else finding.severity
            finding = finding.model_copy(update={"severity": severity})
        judged.append(JudgedFinding(finding=finding, resolved=not reason))
    return tuple(judged), tuple(reasons)


def _unresolved(finding: ModelFinding, shown: Mapping[str, str], normal: dict[str, str]) -> str:
    if not finding.evidence:
        return "it cites nothing"
    for citation in finding.evidence:
        reason = _missing(citation, shown, normal)
        if reason:
            return reason
    return ""


def _missing(citation: Citation, shown: Mapping[str, str], normal: dict[str, str]) -> str:
    text = shown.get(citation.id)
    if text is None:
        return f"{citation.id} was not shown"
    quote = _normal(citation.quote)
    if len(quote) < MIN_QUOTE:
        return f"its quote of {citation.id} is empty or too short"
    if citation.id not in normal:
        normal[citation.id] = _normal(text)
    return "" if quote in normal[citation.id] else f"its quote does not stand in {citation.id}"


def _normal(text: str) -> str:
    return " ".join(text.split())
