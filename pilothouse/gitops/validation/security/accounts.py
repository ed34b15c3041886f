"""The identity of pods towards the API server."""

from collections.abc import Iterator

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.validation.object_set import ObjectSet, PodTemplate
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.shapes import text
from pilothouse.models.findings import Finding

TOKEN = Rule(
    "service-account-token",
    "warning",
    "A pod gets a token for the API server",
    "Who breaks into it can act as its ServiceAccount; most programs never use the token.",
    "Set automountServiceAccountToken to false if the program does not call the API server.",
    {
        "kubescape": ("C-0034", "C-0190", "C-0261"),
        "polaris": ("automountServiceAccountToken",),
        "checkov": ("CKV_K8S_38",),
    },
)
TOKEN_UNSAID = Rule(
    "service-account-token-unsaid",
    "info",
    "Only the ServiceAccount keeps the token out of a pod",
    "Another ServiceAccount would bring the token back.",
    "Set automountServiceAccountToken to false in the pod's spec, too.",
    {"checkov": ("CKV_K8S_38",)},
)
DEFAULT_ACCOUNT = Rule(
    "service-account-default",
    "info",
    "A pod runs as the namespace's default ServiceAccount",
    "Whatever is ever granted to it is granted to every pod of the namespace.",
    "Give it a ServiceAccount of its own, or no token.",
    {"kube-linter": ("default-service-account",)},
)
ACCOUNT_TOKEN = Rule(
    "service-account-automount",
    "info",
    "A ServiceAccount hands its token to every pod",
    "Pods that do not need it get it, too.",
    "Set automountServiceAccountToken to false, and to true in the pods that need it.",
    {"kubescape": ("C-0034", "C-0190")},
)
DEFAULT_TOKEN = Rule(
    "service-account-default-automount",
    "warning",
    "The default ServiceAccount hands its token to every pod",
    "Each pod that names no other account gets it.",
    "Set automountServiceAccountToken to false.",
    {"kubescape": ("C-0034", "C-0189", "C-0190"), "checkov": ("CKV_K8S_41",)},
)
RULES = (TOKEN, TOKEN_UNSAID, DEFAULT_ACCOUNT, ACCOUNT_TOKEN, DEFAULT_TOKEN)


def check_accounts(objects: ObjectSet) -> Iterator[Finding]:
    """Tokens that pods get without need, and accounts that hand them out."""
    for pod in objects.pods:
        yield from _pod(pod, objects)
    for manifest in objects.manifests:
        if manifest.ref.kind == "ServiceAccount" and manifest.ref.group == "":
            yield from _account(manifest)


def _pod(pod: PodTemplate, objects: ObjectSet) -> Iterator[Finding]:
    name = text(pod.spec.get("serviceAccountName")) or text(pod.spec.get("serviceAccount"))
    mounts = pod.spec.get("automountServiceAccountToken")
    if mounts is False:
        return
    account = objects.find("ServiceAccount", pod.namespace, name or "default")
    path = f"{pod.path}/automountServiceAccountToken"
    if mounts is None and account and account.body.get("automountServiceAccountToken") is False:
        told = "the pod itself does not set automountServiceAccountToken to false"
        yield TOKEN_UNSAID.finding(pod.owner, told, path)
        return
    told = f'the pod gets the token of the ServiceAccount "{name or "default"}"'
    yield TOKEN.finding(pod.owner, told, path)
    if name in {"", "default"}:
        told = "the pod runs as the default ServiceAccount"
        yield DEFAULT_ACCOUNT.finding(pod.owner, told, f"{pod.path}/serviceAccountName")


def _account(manifest: LoadedManifest) -> Iterator[Finding]:
    if manifest.body.get("automountServiceAccountToken") is not False:
        rule = DEFAULT_TOKEN if manifest.ref.name == "default" else ACCOUNT_TOKEN
        told = "the ServiceAccount does not set automountServiceAccountToken to false"
        yield rule.finding(manifest, told, "/automountServiceAccountToken")
