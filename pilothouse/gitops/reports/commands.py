"""The exact lines that a person can type, ready to paste."""

import json
from shlex import quote

from pilothouse.models import names


def signal_line(workflow_id: str, signal: str, claim: dict[str, str]) -> str:
    """A `temporal workflow signal` line; the values are ours or placeholders, never quoted text."""
    return (
        f"temporal workflow signal --name {signal} \\\n"
        f"  --input {quote(json.dumps(claim))} \\\n"
        f"  --workflow-id {quote(workflow_id)}"
    )


def approve_line(workflow_id: str, plan: str, by: str = "you@example.org") -> str:
    """The line that approves a plan."""
    return signal_line(workflow_id, names.SIGNAL_APPROVE, {"by": by, "plan": names.short(plan)})


def reject_line(workflow_id: str, plan: str, by: str = "you@example.org") -> str:
    """The line that rejects a plan."""
    claim = {"by": by, "plan": names.short(plan), "reason": "why"}
    return signal_line(workflow_id, names.SIGNAL_REJECT, claim)


def resume_line(workflow_id: str) -> str:
    """The line that ends a hold."""
    return signal_line(workflow_id, names.SIGNAL_RESUME, {"by": "you@example.org", "reason": "why"})
