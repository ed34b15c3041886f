"""What a change of RBAC objects newly allows."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Final, NamedTuple

from pydantic import JsonValue

from pilothouse.gitops.validation.shapes import at, entries, mapping, text

GROUP: Final = "rbac.authorization.k8s.io"
_MOST_SHOWN: Final = 4


class _Right(NamedTuple):
    """One verb on one resource, or on one path that is no resource."""

    verb: str
    group: str
    resource: str
    name: str
    """Of the one object that it is limited to; `*` for all."""

    def covers(self, other: "_Right") -> bool:
        pairs = zip(self, other, strict=True)
        return all(mine in {"*", theirs} for mine, theirs in pairs)

    def __str__(self) -> str:
        group = f".{self.group}" if self.group not in {"", "*"} else ""
        return f"{self.verb} {self.resource}{group}" + (f" {self.name}" if self.name != "*" else "")


def widened(live: Mapping[str, JsonValue] | None, wanted: Mapping[str, JsonValue]) -> Iterator[str]:
    """One sentence for each thing that an RBAC object newly allows; nothing where it does not.

    Args:
        live: the object as it is; None if it is new.
        wanted: a Role, ClusterRole, RoleBinding or ClusterRoleBinding as it shall be.
    """
    if text(wanted.get("kind")).endswith("RoleBinding"):
        yield from _bound(live or {}, wanted)
        return
    before = set(_rights(live or {}))
    new = [r for r in _rights(wanted) if not any(old.covers(r) for old in before)]
    if new:
        named = ", ".join(str(right) for right in new[:_MOST_SHOWN])
        more = f" and {len(new) - _MOST_SHOWN} more" if len(new) > _MOST_SHOWN else ""
        yield f"{'newly allows' if live else 'allows'} {named}{more}"
    if mapping(wanted.get("aggregationRule")) != mapping((live or {}).get("aggregationRule")):
        yield "takes its rules from every ClusterRole with the labels that it names"


def _bound(live: Mapping[str, JsonValue], wanted: Mapping[str, JsonValue]) -> Iterator[str]:
    role, old_role = _role(wanted), _role(live)
    subjects = list(dict.fromkeys(_subjects(wanted)))
    old = set(_subjects(live)) if role == old_role else set()
    new = [subject for subject in subjects if subject not in old]
    if new:
        named = ", ".join(new[:_MOST_SHOWN])
        more = f" and {len(new) - _MOST_SHOWN} more" if len(new) > _MOST_SHOWN else ""
        all_of_it = ", which may do everything" if role == "ClusterRole/cluster-admin" else ""
        yield f"gives {role}{all_of_it}, to {named}{more}"


def _role(binding: Mapping[str, JsonValue]) -> str:
    ref = mapping(binding.get("roleRef"))
    return f"{text(ref.get('kind'))}/{text(ref.get('name'))}"


def _subjects(binding: Mapping[str, JsonValue]) -> Iterator[str]:
    own = text(at(dict(binding), "metadata", "namespace"))
    for _, subject in entries(binding.get("subjects")):
        kind, name = text(subject.get("kind")), text(subject.get("name"))
        namespace = text(subject.get("namespace")) or own
        yield f"{kind}/{namespace}/{name}" if kind == "ServiceAccount" else f"{kind}/{name}"


def _rights(role: Mapping[str, JsonValue]) -> Iterator[_Right]:
    for _, rule in entries(role.get("rules")):
        verbs = _words(rule, "verbs")
        names = _words(rule, "resourceNames") or ["*"]
        for verb, group, resource, name in product(
            verbs, _words(rule, "apiGroups"), _words(rule, "resources"), names
        ):
            yield _Right(verb, group, resource, name)
        for verb, url in product(verbs, _words(rule, "nonResourceURLs")):
            yield _Right(verb, "", url, "*")


def _words(rule: Mapping[str, JsonValue], field: str) -> list[str]:
    found = rule.get(field)
    return [str(word) for word in found] if isinstance(found, list) else []
