"""What is wrong with a pipeline, and where in its file that stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pilothouse.gitops.manifests.places import Place
from pilothouse.models.findings import Finding, Severity


class Problem(NamedTuple):
    """One mistake. As long as a pipeline has an error nothing runs by it."""

    pointer: str
    """JSON pointer into the document; for the short form, into the same pipeline in full."""
    message: str
    fix: str
    severity: Severity = "error"
    rule: str = "pipeline-file"


@dataclass(frozen=True)
class Origin:
    """Where the parts of a pipeline stand in its file."""

    file: str
    place: Place
    moved: Mapping[str, str] = field(default_factory=dict)
    """Pointer into the full form -> pointer into the document. Only the short form has such."""

    def finding(self, problem: Problem) -> Finding:
        """The problem with file and line."""
        pointer = self._in_document(problem.pointer)
        return Finding(
            rule=problem.rule,
            severity=problem.severity,
            file=self.file,
            line=self.place.find(pointer).line,
            path=pointer,
            message=problem.message,
            fix=problem.fix,
        )

    def _in_document(self, pointer: str) -> str:
        if not self.moved:
            return pointer
        within = pointer
        while within and within not in self.moved:
            within = within.rpartition("/")[0]
        return self.moved.get(within, pointer)
