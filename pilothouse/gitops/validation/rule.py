"""What is said about a rule."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.models.findings import Finding, Severity


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

    def finding(self, manifest: LoadedManifest, message: str, path: str = "") -> Finding:
        """A finding of this rule about one object, with the rule's severity and fix.

        Args:
            manifest: the object.
            message: what is wrong with it.
            path: JSON pointer into the object.
        """
        return manifest.finding(self.id, self.severity, message, path=path, fix=self.fix)
