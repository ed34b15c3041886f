"""Tables of rules, each with what finds its violations, as checks over a whole set of objects."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.validation.object_set import Container, ObjectSet, PodTemplate
from pilothouse.gitops.validation.practice import Check
from pilothouse.gitops.validation.rule import Rule
from pilothouse.models.findings import Finding


class Violation(NamedTuple):
    """One place of an object where a rule does not hold."""

    path: str
    """JSON pointer into the object."""
    message: str


PodCheck = Callable[[PodTemplate], Iterator[Violation]]
ContainerCheck = Callable[[PodTemplate, Container], Iterator[Violation]]
ObjectCheck = Callable[[LoadedManifest, ObjectSet], Iterator[Violation]]


def each_pod(*table: tuple[Rule, PodCheck]) -> Check:
    """A check that holds every pod template to some rules."""

    def check(objects: ObjectSet) -> Iterator[Finding]:
        for pod in objects.pods:
            for rule, violations in table:
                for path, message in violations(pod):
                    yield rule.finding(pod.owner, message, path)

    return check


def each_container(*table: tuple[Rule, ContainerCheck]) -> Check:
    """A check that holds every container of every pod template to some rules."""

    def check(objects: ObjectSet) -> Iterator[Finding]:
        for pod in objects.pods:
            for container in pod.containers:
                for rule, violations in table:
                    for path, message in violations(pod, container):
                        yield rule.finding(pod.owner, message, path)

    return check


def each_object(kinds: frozenset[str] | None, *table: tuple[Rule, ObjectCheck]) -> Check:
    """A check that holds every object of some kinds, or of all kinds, to some rules."""

    def check(objects: ObjectSet) -> Iterator[Finding]:
        for manifest in objects.manifests:
            if kinds is None or manifest.ref.kind in kinds:
                for rule, violations in table:
                    for path, message in violations(manifest, objects):
                        yield rule.finding(manifest, message, path)

    return check
