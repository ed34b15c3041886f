"""Borders inside the cluster, and components that do not belong into one."""

import re
from collections.abc import Iterator

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.validation.object_set import Container, ObjectSet, PodTemplate
from pilothouse.gitops.validation.pod_security import ENFORCE_LABEL
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.shapes import at, entries, text
from pilothouse.models.findings import Finding

DEFAULT_NAMESPACE = Rule(
    "namespace-default",
    "info",
    "An object lives in the namespace default",
    "What belongs to different teams has one set of rights, policies and quotas there.",
    "Give it a namespace of its own.",
    {
        "kubescape": ("C-0061", "C-0212"),
        "kube-linter": ("use-namespace",),
        "checkov": ("CKV_K8S_21",),
    },
)
NOT_ENFORCED = Rule(
    "namespace-not-enforced",
    "warning",
    "A namespace enforces no Pod Security level",
    "Anybody who may create pods there may create privileged ones.",
    "Set the label pod-security.kubernetes.io/enforce to restricted, or baseline.",
    {
        "kubescape": (
            "C-0193", "C-0194", "C-0195", "C-0196", "C-0197", "C-0198", "C-0199", "C-0200",
            "C-0201", "C-0202", "C-0203", "C-0204",
        ),
    },
)  # fmt: skip
NOT_RESTRICTED = Rule(
    "namespace-not-restricted",
    "info",
    "A namespace enforces the level baseline only",
    "Pods may run as root, and keep capabilities.",
    "Set the label pod-security.kubernetes.io/enforce to restricted.",
    {"kubescape": ("C-0197", "C-0198", "C-0199", "C-0200", "C-0201")},
)
WITHOUT_POLICY = Rule(
    "namespace-without-policy",
    "info",
    "A namespace of the set has no NetworkPolicy",
    "Every pod of the cluster reaches its pods.",
    "Add a NetworkPolicy that denies by default.",
    {"kubescape": ("C-0054", "C-0206")},
)
VALIDATING = Rule(
    "webhook-validating",
    "info",
    "A webhook can refuse every write",
    "Who controls it sees what is written, Secrets included, and can stop the cluster.",
    "Make sure that you know what answers it.",
    {"kubescape": ("C-0036",)},
)
MUTATING = Rule(
    "webhook-mutating",
    "info",
    "A webhook can change every write",
    "Who controls it sees and changes what is written, Secrets included.",
    "Make sure that you know what answers it.",
    {"kubescape": ("C-0039",)},
)
DASHBOARD = Rule(
    "dashboard-deployed",
    "warning",
    "The Kubernetes dashboard is deployed",
    "It acts with its own rights for whoever reaches it.",
    "Remove it; use a dashboard that runs with each user's own rights.",
    {"checkov": ("CKV_K8S_33",)},
)
TILLER = Rule(
    "tiller-deployed",
    "warning",
    "Helm 2's Tiller is deployed",
    "It has every right, asks nobody for a name, and is no longer maintained.",
    "Remove it; Helm 3 needs no such server.",
    {"checkov": ("CKV_K8S_34",)},
)
TILLER_OPEN = Rule(
    "tiller-reachable",
    "warning",
    "Every pod can talk to Helm 2's Tiller",
    "It has every right, and asks nobody for a name.",
    "Remove it; until then let it listen on localhost only.",
    {"checkov": ("CKV_K8S_34", "CKV_K8S_45")},
)
TILLER_SERVICE = Rule(
    "tiller-service",
    "warning",
    "A Service leads to Helm 2's Tiller",
    "It has every right, and asks nobody for a name.",
    "Remove the Service.",
    {"checkov": ("CKV_K8S_44",)},
)
GIT_SYNC = Rule(
    "git-sync-command",
    "warning",
    "git-sync is told which program to run as Git",
    "Who can set it runs any command in the pod.",
    "Remove GITSYNC_GIT and --git.",
    {"checkov": ("CKV_K8S_159",)},
)
RULES = (
    DEFAULT_NAMESPACE,
    NOT_ENFORCED,
    NOT_RESTRICTED,
    WITHOUT_POLICY,
    VALIDATING,
    MUTATING,
    DASHBOARD,
    TILLER,
    TILLER_OPEN,
    TILLER_SERVICE,
    GIT_SYNC,
)
_NAMESPACED = frozenset({
    "ConfigMap", "CronJob", "DaemonSet", "Deployment", "HorizontalPodAutoscaler", "Ingress", "Job",
    "NetworkPolicy", "PersistentVolumeClaim", "Pod", "PodDisruptionBudget", "ReplicaSet",
    "ReplicationController", "Role", "RoleBinding", "Secret", "Service", "ServiceAccount",
    "StatefulSet",
})  # fmt: skip
_DASHBOARD = re.compile(r"kubernetes-dashboard|kubernetesui/dashboard")
_LOCAL = re.compile(r"^--listen=(localhost|127\.0\.0\.1)\b")
_SYSTEM_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease"})
_WEBHOOKS = {
    "ValidatingWebhookConfiguration": VALIDATING,
    "MutatingWebhookConfiguration": MUTATING,
}


def check_namespaces(objects: ObjectSet) -> Iterator[Finding]:
    """Namespaces, what lives in the wrong one, and components that open the cluster."""
    held = {m.ref.namespace for m in objects.manifests if m.ref.kind == "NetworkPolicy"}
    for manifest in objects.manifests:
        ref = manifest.ref
        if ref.kind in _NAMESPACED:
            yield from _placement(manifest, objects)
        if ref.kind == "Namespace":
            yield from _namespace(manifest, held)
        elif ref.kind in _WEBHOOKS:
            told = f"the {ref.kind} sees what is written to the cluster"
            yield _WEBHOOKS[ref.kind].finding(manifest, told)
        elif ref.kind == "Service" and _is_tiller(manifest):
            yield TILLER_SERVICE.finding(manifest, "the Service leads to Tiller")
    for pod in objects.pods:
        yield from _components(pod)


def _placement(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Finding]:
    namespace = manifest.ref.namespace or objects.default_namespace
    if namespace in ("", "default"):
        told = "it is in the namespace default" if namespace else "it names no namespace"
        yield DEFAULT_NAMESPACE.finding(manifest, told, "/metadata/namespace")


def _namespace(manifest: LoadedManifest, held: set[str]) -> Iterator[Finding]:
    name = manifest.ref.name
    if name in _SYSTEM_NAMESPACES:
        return
    level = at(manifest.body, "metadata", "labels", ENFORCE_LABEL)
    if level not in ("baseline", "restricted"):
        told = f'the namespace "{name}" enforces no Pod Security level'
        yield NOT_ENFORCED.finding(manifest, told, "/metadata/labels")
    elif level == "baseline":
        told = f'the namespace "{name}" enforces the level baseline only'
        yield NOT_RESTRICTED.finding(manifest, told, "/metadata/labels")
    if name not in held:
        told = f'no NetworkPolicy in this set is in the namespace "{name}"'
        yield WITHOUT_POLICY.finding(manifest, told)


def _components(pod: PodTemplate) -> Iterator[Finding]:
    labels = {text(pod.labels.get(key)) for key in ("app", "k8s-app", "name")}
    images = [text(container.body.get("image")) for container in pod.containers]
    if "kubernetes-dashboard" in labels or any(map(_DASHBOARD.search, images)):
        yield DASHBOARD.finding(pod.owner, "the pod is the Kubernetes dashboard", pod.path)
    if "tiller" in labels or any("tiller" in image for image in images):
        guarded = any(map(_is_guarded, pod.containers))
        rule = TILLER if guarded else TILLER_OPEN
        yield rule.finding(pod.owner, "the pod is Tiller", pod.path)
    for container in pod.containers:
        names = {text(variable.get("name")) for _, variable in entries(container.body.get("env"))}
        words = container.body.get("args")
        options = map(str, words) if isinstance(words, list) else ()
        if "git-sync" in text(container.body.get("image")) and (
            "GITSYNC_GIT" in names or any(option.startswith("--git=") for option in options)
        ):
            told = f'container "{container.name}" says which program runs as Git'
            yield GIT_SYNC.finding(pod.owner, told, container.path)


def _is_guarded(container: Container) -> bool:
    words = container.body.get("args"), container.body.get("command")
    return any(
        _LOCAL.search(str(word)) for line in words if isinstance(line, list) for word in line
    )


def _is_tiller(service: LoadedManifest) -> bool:
    labels = at(service.body, "metadata", "labels")
    selector = at(service.body, "spec", "selector")
    return "tiller" in service.ref.name or any(
        isinstance(values, dict) and "tiller" in map(str, values.values())
        for values in (labels, selector)
    )
