"""A control of the Pod Security Standards, and how its violations are told."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pydantic import JsonValue

from pilothouse.gitops.validation.object_set import PodTemplate
from pilothouse.gitops.validation.rule import Rule


class Violation(NamedTuple):
    """One place of an object where a control does not hold."""

    path: str
    """JSON pointer into the object."""
    message: str


PodCheck = Callable[[PodTemplate], Iterator[Violation]]


@dataclass(frozen=True, slots=True)
class Control:
    """One control of one level."""

    rule: Rule
    level: Literal["baseline", "restricted"]
    violations: PodCheck


def control(
    level: Literal["baseline", "restricted"],
    ids: tuple[str, ...],
    rule: str,
    violations: PodCheck,
    *,
    title: str,
    why: str,
    fix: str,
) -> Control:
    """A control with its rule `pod-security-<rule>`.

    Args:
        level: the standard's level that asks for it; restricted asks for all of baseline, too.
        ids: the control's names in the admission plugin; the plugin's own data also spells them
            in lower case, so both spellings become counterparts.
        rule: the rest of the rule's id.
        violations: finds where a pod violates it.
        title: what is wrong.
        why: what may happen.
        fix: what to do.
    """
    spellings = dict.fromkeys(s for name in ids for s in (name, name.lower()))
    counterparts = tuple(f"{level}:{spelling}" for spelling in spellings)
    return Control(
        Rule(f"pod-security-{rule}", "error", title, why, fix, {"pod-security": counterparts}),
        level,
        violations,
    )


def holders(pod: PodTemplate) -> Iterator[tuple[str, str, dict[str, JsonValue]]]:
    """Every security context of a pod: JSON pointer of its holder, its name, the context."""
    yield pod.path, "pod", pod.security
    for container in pod.containers:
        yield container.path, f'container "{container.name}"', container.security


def forbidden(field: str, is_allowed: Callable[[JsonValue], bool], told: str) -> PodCheck:
    """A check that one field of every container's security context has an allowed value.

    Args:
        field: the field's name.
        is_allowed: judges a value that is set.
        told: the rest of the message, with the value as `{}`.
    """

    def violations(pod: PodTemplate) -> Iterator[Violation]:
        for container in pod.containers:
            value = container.security.get(field)
            if value is not None and not is_allowed(value):
                path = f"{container.path}/securityContext/{field}"
                yield Violation(path, f'container "{container.name}" {told.format(value)}')

    return violations


def is_windows(pod: PodTemplate) -> bool:
    """Whether the pod says that it runs on Windows, where Linux controls mean nothing."""
    system = pod.spec.get("os")
    return isinstance(system, dict) and system.get("name") == "windows"


def has_user_namespace(pod: PodTemplate) -> bool:
    """Whether root in the pod is nobody on the node."""
    return pod.spec.get("hostUsers") is False
