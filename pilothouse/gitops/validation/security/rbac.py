"""Roles and bindings: who may do what."""

from collections.abc import Iterator, Mapping

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.validation.object_set import ObjectSet
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.security.grants import RBAC_GROUP, Grant, grants_of
from pilothouse.gitops.validation.security.powers import POWERS
from pilothouse.gitops.validation.shapes import at, entries, text
from pilothouse.models.findings import Finding


def _merged(*counterparts: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    merged: dict[str, tuple[str, ...]] = {}
    for one in counterparts:
        for tool, ids in one.items():
            merged[tool] = tuple(dict.fromkeys((*merged.get(tool, ()), *ids)))
    return merged


WILDCARD = Rule(
    "rbac-wildcard",
    "warning",
    "A role uses a wildcard",
    "It grants what is added to the cluster later, too.",
    "Name the verbs and resources that are needed.",
    {
        "kubescape": ("C-0187",),
        "kube-linter": ("wildcard-in-rules",),
        "checkov": ("CKV_K8S_49",),
    },
)
GROUP_WILDCARD = Rule(
    "rbac-wildcard-group",
    "warning",
    "A role uses a wildcard for API groups",
    "It grants resources of the same name in groups that are added later.",
    "Name the API groups that are needed.",
    {"checkov": ("CKV_K8S_49",)},
)
EVERYTHING = Rule(
    "rbac-everything",
    "warning",
    "A role allows everything",
    "Who is given it owns the cluster, or the namespace.",
    "Name the verbs and resources that are needed.",
    _merged(WILDCARD.counterparts, *(power.role.counterparts for power in POWERS)),
)
"""Told instead of each single power."""


def _admin(rule: str, title: str, why: str, polaris: str, *others: str) -> Rule:
    """Told instead of each single power, so it has their counterparts, but for other bindings'."""
    powers = _merged(*(power.binding.counterparts for power in POWERS))
    foreign = set(powers["polaris"]) - set(others)
    own = {"kubescape": ("C-0035", "C-0272"), "polaris": (polaris,)}
    merged = _merged(own, powers)
    merged["polaris"] = tuple(name for name in merged["polaris"] if name not in foreign)
    return Rule(rule, "warning", title, why, "Bind a role that allows what is needed.", merged)


CLUSTER_ADMIN = _admin(
    "rbac-cluster-admin",
    "Somebody may do everything in the cluster",
    "Who breaks into it owns the cluster.",
    "clusterrolebindingClusterAdmin",
    "clusterrolebindingPodExecAttach",
)
NAMESPACE_ADMIN = _admin(
    "rbac-namespace-admin",
    "A cluster role that allows everything is bound in a namespace",
    "Who breaks into it owns the namespace, its Secrets and its roles.",
    "rolebindingClusterAdminClusterRole",
    "rolebindingClusterRolePodExecAttach",
)
ROLE_ADMIN = _admin(
    "rbac-role-admin",
    "A role that allows everything is bound in a namespace",
    "Who breaks into it owns the namespace, its Secrets and its roles.",
    "rolebindingClusterAdminRole",
    "rolebindingRolePodExecAttach",
)
ADMIN_ROLE = Rule(
    "rbac-cluster-admin-role",
    "warning",
    "The role cluster-admin is bound",
    "Who breaks into it owns the cluster, or the namespace.",
    "Bind a role that allows what is needed.",
    _merged(
        {"kubescape": ("C-0185",), "kube-linter": ("cluster-admin-role-binding",)},
        CLUSTER_ADMIN.counterparts,
        NAMESPACE_ADMIN.counterparts,
    ),
)
ACCOUNT_ADMIN = Rule(
    "rbac-account-everything",
    "warning",
    "A ServiceAccount may do everything",
    "Whoever breaks into one of its pods may do it, too.",
    "Bind a role that allows what is needed, or mount no token.",
    {"checkov": _merged(*(p.account.counterparts for p in POWERS if p.account))["checkov"]},
)
"""Told besides the others: a person who may do everything is something else than a pod."""
ANONYMOUS = Rule(
    "rbac-anonymous",
    "warning",
    "Somebody without a name is allowed something",
    "Everybody who reaches the API server may do it.",
    "Remove system:anonymous and system:unauthenticated.",
    {"kubescape": ("C-0262",)},
)
AUTHENTICATED = Rule(
    "rbac-authenticated",
    "warning",
    "Everybody with a name is allowed something",
    "Each user, and each pod's ServiceAccount, may do it.",
    "Name those who need it.",
    {"kubescape": ("C-0265",)},
)
MASTERS = Rule(
    "rbac-masters",
    "warning",
    "The group system:masters is named",
    "Its members pass every check of rights, and that cannot be taken back.",
    "Bind cluster-admin to a group of your own.",
)
DEFAULT_SUBJECT = Rule(
    "rbac-default-account",
    "warning",
    "A default ServiceAccount is allowed something",
    "Each pod that names no other account may do it.",
    "Make a ServiceAccount for what needs it.",
    {"kubescape": ("C-0189",), "checkov": ("CKV_K8S_42",)},
)
RULES = (
    WILDCARD,
    GROUP_WILDCARD,
    EVERYTHING,
    CLUSTER_ADMIN,
    NAMESPACE_ADMIN,
    ROLE_ADMIN,
    ADMIN_ROLE,
    ACCOUNT_ADMIN,
    ANONYMOUS,
    AUTHENTICATED,
    MASTERS,
    DEFAULT_SUBJECT,
    *(rule for power in POWERS for rule in power.rules),
)
_DEFAULT_ROLES = frozenset({"admin", "cluster-admin", "edit", "view"})
_EVERYTHING = frozenset({"get", "list", "watch", "create", "update", "patch", "delete"})
_WIDE_SUBJECTS = {
    "system:anonymous": ANONYMOUS,
    "system:unauthenticated": ANONYMOUS,
    "system:authenticated": AUTHENTICATED,
    "system:serviceaccounts": AUTHENTICATED,
    "system:masters": MASTERS,
}


def check_rbac(objects: ObjectSet) -> Iterator[Finding]:
    """Every role and binding that is not one of the cluster's own."""
    for manifest in objects.manifests:
        if manifest.ref.group != RBAC_GROUP or _is_builtin(manifest.ref.name):
            continue
        if manifest.ref.kind in ("Role", "ClusterRole"):
            if manifest.ref.name not in _DEFAULT_ROLES:
                yield from _role(manifest)
        elif manifest.ref.kind in ("RoleBinding", "ClusterRoleBinding"):
            yield from _binding(manifest, objects)
            yield from _subjects(manifest)


def _is_builtin(name: str) -> bool:
    """Whether Kubernetes, or the provider of the cluster, made it."""
    return name.startswith("system:") or name == "gce:podsecuritypolicy:calico-sa"


def _role(role: LoadedManifest) -> Iterator[Finding]:
    grants = grants_of(role)
    everything = next((grant for grant in grants if _is_everything(grant)), None)
    if everything is not None:
        yield EVERYTHING.finding(role, "the role allows everything", everything.path)
        return
    for grant in grants:
        if "*" in grant.verbs or any("*" in resource for resource in grant.resources):
            yield WILDCARD.finding(role, f"the role allows {_told(grant)}", grant.path)
        elif "*" in grant.groups:
            told = f"the role allows {_told(grant)} in every API group"
            yield GROUP_WILDCARD.finding(role, told, f"{grant.path}/apiGroups")
    for power in POWERS:
        path = power.granted(grants)
        if path is not None:
            yield power.role.finding(role, f"the role may {power.can}", path)


def _told(grant: Grant) -> str:
    verbs = "every verb" if "*" in grant.verbs else ", ".join(sorted(grant.verbs))
    what = "everything" if "*" in grant.resources else ", ".join(sorted(grant.resources))
    return f"{verbs} on {what or 'nothing'}"


def _is_everything(grant: Grant) -> bool:
    every_verb = "*" in grant.verbs or grant.verbs >= _EVERYTHING
    return "*" in grant.groups and "*" in grant.resources and every_verb


def _binding(binding: LoadedManifest, objects: ObjectSet) -> Iterator[Finding]:
    kind, name = (
        text(at(binding.body, "roleRef", "kind")),
        text(at(binding.body, "roleRef", "name")),
    )
    if binding.ref.name == name and name in _DEFAULT_ROLES:
        return  # One of the cluster's own.
    if kind == "ClusterRole" and name == "cluster-admin":
        yield ADMIN_ROLE.finding(binding, "the binding gives the role cluster-admin", "/roleRef")
        yield from _account_admin(binding)
        return
    role = objects.find(kind, binding.ref.namespace if kind == "Role" else "", name)
    grants = grants_of(role) if role is not None else ()
    if any(map(_is_everything, grants)):
        rule = ROLE_ADMIN if kind == "Role" else NAMESPACE_ADMIN
        if binding.ref.kind == "ClusterRoleBinding":
            rule = CLUSTER_ADMIN
        yield rule.finding(binding, f'the role "{name}" allows everything', "/roleRef")
        yield from _account_admin(binding)
        return
    account = _account(binding)
    for power in POWERS:
        if power.granted(grants) is not None:
            told = f'the role "{name}" may {power.can}'
            rule = power.account if account and power.account else power.binding
            yield rule.finding(binding, told, "/roleRef")


def _account(binding: LoadedManifest) -> str:
    """A pod's or a node's identity among those who are bound; empty if there is none."""
    for _, subject in entries(binding.body.get("subjects")):
        if subject.get("kind") in ("ServiceAccount", "Node"):
            return text(subject.get("name"))
    return ""


def _account_admin(binding: LoadedManifest) -> Iterator[Finding]:
    if account := _account(binding):
        told = f'the ServiceAccount "{account}" may do everything'
        yield ACCOUNT_ADMIN.finding(binding, told, "/subjects")


def _subjects(binding: LoadedManifest) -> Iterator[Finding]:
    for index, subject in entries(binding.body.get("subjects")):
        name, path = text(subject.get("name")), f"/subjects/{index}/name"
        if subject.get("kind") == "ServiceAccount":
            if name == "default":
                where = text(subject.get("namespace")) or binding.ref.namespace
                told = f'the binding names the default ServiceAccount of "{where}"'
                yield DEFAULT_SUBJECT.finding(binding, told, path)
        elif (rule := _WIDE_SUBJECTS.get(name)) is not None:
            yield rule.finding(binding, f'the binding names "{name}"', path)
