"""What confines a container from within the kernel: capabilities, filters, labels, parameters."""

from collections.abc import Iterator

from pydantic import JsonValue

from pilothouse.gitops.validation.object_set import Container, ObjectSet, PodTemplate
from pilothouse.gitops.validation.pod_security.baseline import (
    APP_ARMOR_ANNOTATION,
    DEFAULT_CAPABILITIES,
    SAFE_SYSCTLS,
)
from pilothouse.gitops.validation.pod_security.control import is_windows
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.security.containers import effective
from pilothouse.gitops.validation.shapes import at, entries, mapping, text
from pilothouse.models.findings import Finding

_BASELINE_CAPABILITIES = ("baseline:capabilities", "baseline:capabilities_baseline")
NOT_DROPPED = Rule(
    "capabilities-not-dropped",
    "warning",
    "A container keeps capabilities",
    "What the program does not need, an intruder can use.",
    'Set securityContext.capabilities.drop to ["ALL"], and add back what is needed.',
    {
        "polaris": ("insecureCapabilities",),
        "checkov": ("CKV_K8S_37",),
        "pod-security": ("restricted:capabilities_restricted",),
    },
)
NET_RAW = Rule(
    "capability-net-raw",
    "info",
    "A container keeps NET_RAW",
    "It can forge packets, and answer in the name of other pods.",
    'Drop "NET_RAW", or better "ALL".',
    {"kube-linter": ("drop-net-raw-capability",), "checkov": ("CKV_K8S_28",)},
)
SYS_ADMIN = Rule(
    "capability-sys-admin",
    "warning",
    "A container adds SYS_ADMIN",
    "It is nearly all of root's power over the node.",
    "Remove it from securityContext.capabilities.add.",
    {
        "kubescape": ("C-0046",),
        "polaris": ("dangerousCapabilities",),
        "checkov": ("CKV_K8S_39", "CKV_K8S_25"),
        "pod-security": _BASELINE_CAPABILITIES,
    },
)
ADMIN = Rule(
    "capability-admin",
    "warning",
    "A container adds ALL or NET_ADMIN",
    "It can change the node's network, or everything.",
    "Remove it from securityContext.capabilities.add.",
    {
        "kubescape": ("C-0046",),
        "polaris": ("dangerousCapabilities",),
        "checkov": ("CKV_K8S_25",),
        "pod-security": _BASELINE_CAPABILITIES,
    },
)
DANGEROUS = Rule(
    "capability-dangerous",
    "warning",
    "A container adds a capability that breaks isolation",
    "It reaches the kernel, other processes' memory, or other pods' packets.",
    "Remove it from securityContext.capabilities.add.",
    {"kubescape": ("C-0046",), "checkov": ("CKV_K8S_25",)},
)
ADDED = Rule(
    "capability-added",
    "info",
    "A container adds a capability",
    "Each one is a part of root's power.",
    "Remove it from securityContext.capabilities.add if the program runs without it.",
    {"checkov": ("CKV_K8S_25",)},
)
SECCOMP = Rule(
    "seccomp-profile",
    "warning",
    "Seccomp does not confine a container",
    "Every system call is open, also those that only attacks use.",
    "Set securityContext.seccompProfile.type to RuntimeDefault.",
    {
        "kubescape": ("C-0210",),
        "kube-score": ("container-seccomp-profile",),
        "checkov": ("CKV_K8S_31",),
        "pod-security": (
            "restricted:seccompProfile_restricted",
            "restricted:seccompprofile_restricted",
        ),
    },
)
SECCOMP_ANNOTATED = Rule(
    "seccomp-annotation",
    "warning",
    "Only an annotation asks for seccomp",
    "Kubernetes has ignored it since 1.27: every system call is open.",
    "Set securityContext.seccompProfile.type to RuntimeDefault.",
    {
        "kube-score": ("container-seccomp-profile",),
        "pod-security": (
            "restricted:seccompProfile_restricted",
            "restricted:seccompprofile_restricted",
        ),
    },
)
UNHARDENED = Rule(
    "linux-hardening",
    "info",
    "Nothing but the defaults confines a container",
    "AppArmor, seccomp, SELinux or dropped capabilities stand between it and the kernel.",
    "Set seccompProfile to RuntimeDefault, and drop all capabilities.",
    {"kubescape": ("C-0055",), "polaris": ("linuxHardening",)},
)
UNSAFE_SYSCTL = Rule(
    "sysctl-unsafe",
    "warning",
    "A pod sets a kernel parameter that is not safe",
    "It may take resources from other pods of the node, or weaken it; the kubelet refuses it "
    "unless it was allowed there.",
    "Remove it from securityContext.sysctls.",
    {"kube-linter": ("unsafe-sysctls",), "pod-security": ("baseline:sysctls",)},
)
SYSCTL = Rule(
    "sysctl-set",
    "info",
    "A pod sets a kernel parameter",
    "It is a safe one, and still an exception from how nodes are set up.",
    "Remove it if the program runs without it.",
    {"kube-linter": ("unsafe-sysctls",)},
)
POD_CONTEXT = Rule(
    "pod-context-missing",
    "info",
    "A pod has no security context",
    "What is set for the pod holds for each container that is ever added to it.",
    "Set securityContext in the pod's spec.",
    {"checkov": ("CKV_K8S_29",), "kubescape": ("C-0211",)},
)
RULES = (
    NOT_DROPPED,
    NET_RAW,
    SYS_ADMIN,
    ADMIN,
    DANGEROUS,
    ADDED,
    SECCOMP,
    SECCOMP_ANNOTATED,
    UNHARDENED,
    UNSAFE_SYSCTL,
    SYSCTL,
    POD_CONTEXT,
)
_ALL_DEFAULTS = DEFAULT_CAPABILITIES | {"NET_RAW"}
_DANGEROUS = frozenset({
    "BPF", "MAC_ADMIN", "MAC_OVERRIDE", "NET_RAW", "PERFMON", "SETPCAP", "SYS_BOOT", "SYS_MODULE",
    "SYS_PTRACE", "SYS_RAWIO",
})  # fmt: skip
_SECCOMP_ANNOTATION = "seccomp.security.alpha.kubernetes.io/pod"
_CONFINED = frozenset({"RuntimeDefault", "Localhost"})


def check_confinement(objects: ObjectSet) -> Iterator[Finding]:
    """Capabilities, seccomp, AppArmor, SELinux and sysctls of every pod."""
    for pod in objects.pods:
        yield from _sysctls(pod)
        if not pod.security:
            told = "the pod sets no securityContext"
            yield POD_CONTEXT.finding(pod.owner, told, pod.path)
        if is_windows(pod):
            continue
        for container in pod.containers:
            dropped, added = _capabilities(container, "drop"), _capabilities(container, "add")
            yield from _dropped(pod, container, dropped)
            yield from _added(pod, container, added)
            yield from _filters(pod, container, dropped, added)


def _capabilities(container: Container, field: str) -> tuple[str, ...]:
    """As they are listed, in capitals and without a prefix."""
    listed = at(container.security, "capabilities", field)
    names = listed if isinstance(listed, list) else ()
    return tuple(str(name).upper().removeprefix("CAP_") for name in names)


def _dropped(pod: PodTemplate, container: Container, dropped: tuple[str, ...]) -> Iterator[Finding]:
    path = f"{container.path}/securityContext/capabilities/drop"
    kept = set() if "ALL" in dropped else _ALL_DEFAULTS.difference(dropped)
    if kept:
        told = f'container "{container.name}" does not drop all capabilities'
        yield NOT_DROPPED.finding(pod.owner, told, path)
    if "NET_RAW" in kept:
        told = f'container "{container.name}" does not drop the capability NET_RAW'
        yield NET_RAW.finding(pod.owner, told, path)


def _added(pod: PodTemplate, container: Container, added: tuple[str, ...]) -> Iterator[Finding]:
    for index, name in enumerate(added):
        match name:
            case "SYS_ADMIN":
                rule = SYS_ADMIN
            case "ALL" | "NET_ADMIN":
                rule = ADMIN
            case _:
                rule = DANGEROUS if name in _DANGEROUS else ADDED
        path = f"{container.path}/securityContext/capabilities/add/{index}"
        yield rule.finding(pod.owner, f'container "{container.name}" adds {name}', path)


def _filters(
    pod: PodTemplate, container: Container, dropped: tuple[str, ...], added: tuple[str, ...]
) -> Iterator[Finding]:
    seccomp = text(at(effective(pod, container, "seccompProfile"), "type"))
    annotated = text(pod.annotations.get(_SECCOMP_ANNOTATION))
    asked = not seccomp and annotated in {"docker/default", "runtime/default"}
    filtered = seccomp in _CONFINED or asked
    path = f"{container.path}/securityContext/seccompProfile"
    if asked:
        told = f'container "{container.name}": the annotation "{annotated}" does nothing'
        yield SECCOMP_ANNOTATED.finding(pod.owner, told, path)
    elif not filtered:
        shown = f'"{seccomp}"' if seccomp else "none"
        told = f'container "{container.name}": the seccomp profile is {shown}'
        yield SECCOMP.finding(pod.owner, told, path)
    hardened = (
        filtered
        or (bool(dropped) and "ALL" not in added)
        or bool(mapping(effective(pod, container, "seLinuxOptions")))
        or _has_app_armor(pod, container)
    )
    if not hardened:
        told = f'container "{container.name}" sets no seccomp, AppArmor or SELinux profile and ' + (
            "adds all capabilities" if dropped else "drops no capability"
        )
        yield UNHARDENED.finding(pod.owner, told, f"{container.path}/securityContext")


def _has_app_armor(pod: PodTemplate, container: Container) -> bool:
    annotated: JsonValue | None = pod.annotations.get(f"{APP_ARMOR_ANNOTATION}{container.name}")
    if annotated is not None:
        return annotated != "unconfined"
    return at(effective(pod, container, "appArmorProfile"), "type") in _CONFINED


def _sysctls(pod: PodTemplate) -> Iterator[Finding]:
    for index, sysctl in entries(pod.security.get("sysctls")):
        name = text(sysctl.get("name"))
        rule = SYSCTL if name in SAFE_SYSCTLS else UNSAFE_SYSCTL
        path = f"{pod.path}/securityContext/sysctls/{index}/name"
        yield rule.finding(pod.owner, f"the pod sets the kernel parameter {name}", path)
