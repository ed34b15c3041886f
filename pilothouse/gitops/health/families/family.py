"""The form of one family's entry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from pilothouse.models.health import HealthStatus

Meaning = Literal["summary", "part", "failure", "activity", "pause", "none", "unread"]
"""What a condition type says when it is true: the whole works, a part of it works, something is
wrong, something goes on, it rests on purpose, or nothing about health; or we cannot read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How the objects of one family say how they are.

    Every field but `groups` has a default: what the conventions say. Words are
    compared by their letters and digits alone, in lower case.
    """

    groups: tuple[str, ...] = ()
    """API groups; `*.example.com` stands for every group below."""
    kinds: tuple[str, ...] = ()
    """Patterns of kinds; empty: every kind of the groups."""
    reports: bool = True
    """Whether a controller writes a status; without one, an object works by existing."""
    silent_when: tuple[str, ...] = ()
    """Fields that, if true or of the value after `=`, mean that for this object none is written."""
    awaits: tuple[str, ...] = ()
    """Fields of the object without which nothing is good news yet."""
    summary: tuple[str, ...] = ()
    """Condition types that must be there and true; they vouch for all others."""
    meanings: Mapping[str, tuple[Meaning, bool]] = field(default_factory=dict)
    """Condition types that mean something else than their name says; true: negated."""
    words: Mapping[str, HealthStatus] = field(default_factory=dict)
    """What phases, states and reasons mean."""
    false: HealthStatus | None = None
    """What a summary that is false means when neither its reason nor its message tells. By default
    that is Degraded, and Progressing where it has neither."""
    counts: tuple[tuple[str, str], ...] = ()
    """Numbers that are wanted and that are there; each side is summed up."""
    phases: tuple[str, ...] = ()
    """Where the phase is, if not at one of the usual places; `*` stands for every item."""
    conditions: tuple[str, ...] = ()
    """Further lists of conditions below `status`."""
    failures: tuple[str, ...] = ()
    """Where errors are listed; any is bad news."""
    suspended: tuple[str, ...] = ()
    """Fields of the object that rest it when they are true, or have the value after `=`."""

    def holds(self, group: str, kind: str) -> bool:
        """Whether a kind belongs to it."""
        return any(fnmatchcase(group, pattern) for pattern in self.groups) and (
            not self.kinds or any(fnmatchcase(kind, pattern) for pattern in self.kinds)
        )


CONVENTIONAL = Family()
"""Nothing but the conventions."""
