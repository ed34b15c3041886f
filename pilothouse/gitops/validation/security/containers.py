"""What a container's security context gives away."""

from collections.abc import Iterator

from pydantic import JsonValue

from pilothouse.gitops.validation.object_set import Container, ObjectSet, PodTemplate
from pilothouse.gitops.validation.pod_security.control import is_windows
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.shapes import at
from pilothouse.models.findings import Finding

PRIVILEGED = Rule(
    "container-privileged",
    "warning",
    "A container is privileged",
    "It is root on the node in all but name.",
    "Remove securityContext.privileged, and add the one capability that is needed.",
    {
        "kubescape": ("C-0057",),
        "polaris": ("runAsPrivileged",),
        "kube-linter": ("privileged-container",),
        "kube-score": ("container-security-context-privileged",),
        "checkov": ("CKV_K8S_16",),
        "pod-security": ("baseline:privileged",),
    },
)
_ESCALATION = {
    "kubescape": ("C-0016",),
    "polaris": ("privilegeEscalationAllowed",),
    "checkov": ("CKV_K8S_20",),
    "pod-security": (
        "restricted:allowPrivilegeEscalation",
        "restricted:allowprivilegeescalation",
    ),
}
ESCALATION = Rule(
    "privilege-escalation",
    "warning",
    "A container's processes may gain privileges",
    "A setuid program makes root of any user; it is allowed unless the manifest says no.",
    "Set securityContext.allowPrivilegeEscalation to false.",
    _ESCALATION,
)
ESCALATION_GRANTED = Rule(
    "privilege-escalation-granted",
    "warning",
    "A container is explicitly allowed to gain privileges",
    "Privileged mode, SYS_ADMIN or allowPrivilegeEscalation make root of any user.",
    "Set securityContext.allowPrivilegeEscalation to false; drop what implies it.",
    _ESCALATION | {"kube-linter": ("privilege-escalation-container",)},
)
ROOT = Rule(
    "run-as-root",
    "warning",
    "A container may run as root",
    "Root in the container is root on the node once it breaks out.",
    "Set securityContext.runAsNonRoot to true, and a user in the image or in runAsUser.",
    {
        "kubescape": ("C-0013",),
        "polaris": ("runAsRootAllowed",),
        "kube-linter": ("run-as-non-root",),
        "checkov": ("CKV_K8S_23",),
    },
)
LOW_USER = Rule(
    "user-id-low",
    "info",
    "A container's user id may be one of the node's",
    "A user of the node with the same id owns its files once it breaks out.",
    "Set securityContext.runAsUser to 10000 or more.",
    {
        "checkov": ("CKV_K8S_40",),
        "kube-score": ("container-security-context-user-group-id",),
    },
)
INIT_ROOT = Rule(
    "init-run-as-root",
    "warning",
    "An init container may run as root",
    "Root in the container is root on the node once it breaks out.",
    ROOT.fix,
    {tool: ids for tool, ids in ROOT.counterparts.items() if tool != "checkov"},
)
INIT_LOW_USER = Rule(
    "init-user-id-low",
    "info",
    "An init container's user id may be one of the node's",
    LOW_USER.why,
    LOW_USER.fix,
    {tool: ids for tool, ids in LOW_USER.counterparts.items() if tool != "checkov"},
)
LOW_GROUP = Rule(
    "group-id-low",
    "info",
    "A container's group id may be one of the node's",
    "A group of the node with the same id opens its files once it breaks out.",
    "Set securityContext.runAsGroup to 10000 or more.",
    {"kube-score": ("container-security-context-user-group-id",)},
)
WRITABLE_ROOT = Rule(
    "root-filesystem-writable",
    "warning",
    "A container can write to its root file system",
    "An intruder can leave programs there, and replace those of the image.",
    "Set securityContext.readOnlyRootFilesystem to true; mount an emptyDir where it writes.",
    {
        "kubescape": ("C-0017",),
        "polaris": ("notReadOnlyRootFilesystem",),
        "kube-linter": ("no-read-only-root-fs",),
        "kube-score": ("container-security-context-readonlyrootfilesystem",),
        "checkov": ("CKV_K8S_22",),
    },
)
PROC_MOUNT = Rule(
    "proc-unmasked",
    "warning",
    "A container sees an unmasked /proc",
    "It shows, and lets change, settings of the node's kernel.",
    "Remove securityContext.procMount.",
    {
        "polaris": ("procMount",),
        "kube-linter": ("unsafe-proc-mount",),
        "pod-security": ("restricted:procMount_restricted", "restricted:procmount_restricted"),
    },
)
WITHOUT_CONTEXT = Rule(
    "security-context-missing",
    "info",
    "A container has no security context",
    "Everything that the runtime grants by default stays granted.",
    "Set securityContext in the container.",
    {"checkov": ("CKV_K8S_30",), "kubescape": ("C-0211",)},
)
HOST_PROCESS = Rule(
    "windows-host-process",
    "warning",
    "A Windows container is a process of its node",
    "It has the power of the node's administrator.",
    "Remove windowsOptions.hostProcess.",
    {
        "polaris": ("hostProcess",),
        "pod-security": ("baseline:windowsHostProcess", "baseline:windowshostprocess"),
    },
)
RULES = (
    PRIVILEGED,
    ESCALATION,
    ESCALATION_GRANTED,
    ROOT,
    LOW_USER,
    INIT_ROOT,
    INIT_LOW_USER,
    LOW_GROUP,
    WRITABLE_ROOT,
    PROC_MOUNT,
    WITHOUT_CONTEXT,
    HOST_PROCESS,
)
_FIRST_OWN_ID = 10_000


def check_containers(objects: ObjectSet) -> Iterator[Finding]:
    """The security context of every container."""
    for pod in objects.pods:
        windows = is_windows(pod)
        for container in pod.containers:
            yield from _host_process(pod, container)
            yield from _privileged(pod, container)
            if not windows:
                yield from _escalation(pod, container)
                yield from _identity(pod, container)
                yield from _file_systems(pod, container)
            if not container.security:
                told = f'container "{container.name}" sets no securityContext'
                yield WITHOUT_CONTEXT.finding(pod.owner, told, container.path)


def _host_process(pod: PodTemplate, container: Container) -> Iterator[Finding]:
    own = at(container.security, "windowsOptions", "hostProcess")
    if own is True or (own is None and at(pod.security, "windowsOptions", "hostProcess") is True):
        told = f'container "{container.name}" runs as a process of the node'
        yield HOST_PROCESS.finding(pod.owner, told, f"{container.path}/securityContext")


def _privileged(pod: PodTemplate, container: Container) -> Iterator[Finding]:
    if container.security.get("privileged") is True:
        told = f'container "{container.name}" is privileged'
        path = f"{container.path}/securityContext/privileged"
        yield PRIVILEGED.finding(pod.owner, told, path)


def _escalation(pod: PodTemplate, container: Container) -> Iterator[Finding]:
    allowed = container.security.get("allowPrivilegeEscalation")
    added = at(container.security, "capabilities", "add")
    path = f"{container.path}/securityContext/allowPrivilegeEscalation"
    if allowed is False:
        return
    if allowed is True:
        told = "may gain privileges: allowPrivilegeEscalation is true"
    elif container.security.get("privileged") is True:
        told = "may gain privileges: it is privileged"
    elif isinstance(added, list) and not {"SYS_ADMIN", "CAP_SYS_ADMIN"}.isdisjoint(map(str, added)):
        told = "may gain privileges: it has the capability SYS_ADMIN"
    else:
        told = f'container "{container.name}" does not set allowPrivilegeEscalation to false'
        yield ESCALATION.finding(pod.owner, told, path)
        return
    yield ESCALATION_GRANTED.finding(pod.owner, f'container "{container.name}" {told}', path)


def effective(pod: PodTemplate, container: Container, field: str) -> JsonValue | None:
    """A field of a container's security context, or else of the pod's."""
    own = container.security.get(field)
    return pod.security.get(field) if own is None else own


def _identity(pod: PodTemplate, container: Container) -> Iterator[Finding]:
    user = _number(effective(pod, container, "runAsUser"))
    group = _number(effective(pod, container, "runAsGroup"))
    path = f"{container.path}/securityContext"
    who = f'container "{container.name}"'
    root, low = (INIT_ROOT, INIT_LOW_USER) if container.kind == "init" else (ROOT, LOW_USER)
    if user == 0:
        yield root.finding(pod.owner, f"{who} runs as user 0", f"{path}/runAsUser")
    elif user is None and effective(pod, container, "runAsNonRoot") is not True:
        told = f"{who} may run as root: neither it nor its pod sets runAsNonRoot or runAsUser"
        yield root.finding(pod.owner, told, f"{path}/runAsNonRoot")
    if user is None or user < _FIRST_OWN_ID:
        told = f"{who} runs as user {'of the image' if user is None else user}"
        yield low.finding(pod.owner, told, f"{path}/runAsUser")
    elif group is None or group < _FIRST_OWN_ID:
        told = f"{who} runs as group {'of the image' if group is None else group}"
        yield LOW_GROUP.finding(pod.owner, told, f"{path}/runAsGroup")


def _number(value: JsonValue | None) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _file_systems(pod: PodTemplate, container: Container) -> Iterator[Finding]:
    path = f"{container.path}/securityContext"
    if container.security.get("readOnlyRootFilesystem") is not True:
        told = f'container "{container.name}" can write to its root file system'
        yield WRITABLE_ROOT.finding(pod.owner, told, f"{path}/readOnlyRootFilesystem")
    proc = container.security.get("procMount")
    if proc not in (None, "Default"):
        told = f'container "{container.name}" sets procMount to "{proc}"'
        yield PROC_MOUNT.finding(pod.owner, told, f"{path}/procMount")
