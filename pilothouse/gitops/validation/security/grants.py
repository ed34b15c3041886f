"""What the rules of a role allow."""

from dataclasses import dataclass

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.validation.shapes import entries

RBAC_GROUP = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class Grant:
    """One rule of a role, as sets."""

    path: str
    """JSON pointer into the role."""
    groups: frozenset[str]
    resources: frozenset[str]
    verbs: frozenset[str]


@dataclass(frozen=True, slots=True)
class Request:
    """Something that a role may or may not allow: any of the verbs on any of the resources."""

    group: str
    resources: frozenset[str]
    verbs: frozenset[str]

    def granted_by(self, grant: Grant) -> bool:
        """Whether one rule of a role allows it, wildcards included."""
        return (
            not grant.groups.isdisjoint({self.group, "*"})
            and not grant.verbs.isdisjoint(self.verbs | {"*"})
            and any(_covers(resource, self.resources) for resource in grant.resources)
        )


def _covers(granted: str, wanted: frozenset[str]) -> bool:
    if granted == "*" or granted in wanted:
        return True
    main, _, sub = granted.partition("/")
    if "*" not in (main, sub):
        return False
    return any(
        main in ("*", name.partition("/")[0]) and sub in ("*", name.partition("/")[2])
        for name in wanted
        if "/" in name
    )


def grants_of(role: LoadedManifest) -> tuple[Grant, ...]:
    """The rules of a Role or ClusterRole."""
    return tuple(
        Grant(
            f"/rules/{index}",
            _texts(rule.get("apiGroups")),
            _texts(rule.get("resources")),
            _texts(rule.get("verbs")),
        )
        for index, rule in entries(role.body.get("rules"))
    )


def _texts(values: object) -> frozenset[str]:
    return frozenset(map(str, values)) if isinstance(values, list) else frozenset()
