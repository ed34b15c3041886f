"""The frame of rules that no schema holds: what they look at, and what they are asked for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from pilothouse.gitops.validation.object_set import ObjectSet
from pilothouse.models.findings import Finding
from pilothouse.models.pipeline import PodSecurityLevel

Check = Callable[[ObjectSet], Iterator[Finding]]
"""Looks at all objects of a unit at once, so that it can see across them. Pure."""


@dataclass(frozen=True, slots=True)
class ValidationPolicy:
    """What one unit is held to beyond what its cluster would refuse anyway."""

    pod_security: PodSecurityLevel | None = None
    """For every pod; without it each namespace's own label counts, if it is among the objects."""
    namespace: str = ""
    """Where objects go that name no namespace; empty if that is not known."""
    own_rules: tuple[Check, ...] = ()
    """The repository's own rules, compiled."""
    today: date | None = None
    """Decides which exceptions have expired; without it none is taken as expired."""
