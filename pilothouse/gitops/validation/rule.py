"""What is said about a rule."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilothouse.models.findings import Severity


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. Its id is stable: people filter by it."""

    id: str
    severity: Severity
    """The usual one; a missing object is an error once the cluster is known not to have it."""
    title: str
    why: str
    fix: str
    counterparts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The same thing in other tools: tool -> ids, e.g. `{"kubescape": ("C-0013",)}`."""
