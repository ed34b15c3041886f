"""What an apply has done so far, and in the end."""

from collections import Counter
from typing import Final, Literal

from pilothouse.models.objects import ApplyReport, ObjectResult

_MAX_PROBLEMS: Final = 50
_WRITTEN: Final = ("created", "configured", "recreated", "deleted")
_PROBLEMS: Final = frozenset({"refused", "unknown", "kept"})


class Outcome:
    """Collects one result an object."""

    def __init__(self, objects: int) -> None:
        self._objects = objects
        self._results: list[ObjectResult] = []
        self._problem = ""

    def add(self, *results: ObjectResult) -> None:
        """What happened to some objects."""
        self._results += results

    def stop(self, problem: str) -> Literal[False]:
        """Keep why the apply does not go on; false, so that a step can return it."""
        self._problem = problem
        return False

    def so_far(self) -> str:
        """What was written before an error, for its message; empty if nothing was."""
        counts = Counter(result.result for result in self._results)
        written = ", ".join(f"{counts[word]} {word}" for word in _WRITTEN if counts[word])
        return f"; so far: {written}" if written else ""

    def report(self) -> ApplyReport:
        """The whole, as it is now."""
        counts = Counter(result.result for result in self._results)
        missing = self._objects - len(self._results)
        problem = f"{self._problem}; nothing was deleted" if self._problem else ""
        if problem and missing > 0:
            problem += f"; {missing} objects were not reached"
        problems = [result for result in self._results if result.result in _PROBLEMS]
        return ApplyReport(
            ok=not problem,
            counts=dict(counts),
            problems=tuple(problems[:_MAX_PROBLEMS]),
            message=problem,
        )
