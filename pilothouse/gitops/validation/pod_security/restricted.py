"""The controls that the level restricted adds: hardening as it is practised."""

from collections.abc import Iterator

from pilothouse.gitops.validation.object_set import PodTemplate
from pilothouse.gitops.validation.pod_security.baseline import (
    added_capabilities,
    unconfined,
    unmasked_proc,
)
from pilothouse.gitops.validation.pod_security.control import (
    Violation,
    control,
    has_user_namespace,
    holders,
    is_windows,
)
from pilothouse.gitops.validation.shapes import at, entries, text

_VOLUMES = frozenset({
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim",
    "projected", "secret",
})  # fmt: skip
_BINDING_PORTS = frozenset({"NET_BIND_SERVICE"})


def restricted_volumes(pod: PodTemplate) -> Iterator[Violation]:
    """Volumes of kinds that reach the node or name storage directly."""
    for index, volume in entries(pod.spec.get("volumes")):
        for kind, source in volume.items():
            if kind != "name" and kind not in _VOLUMES and source is not None:
                path = f"{pod.path}/volumes/{index}/{kind}"
                told = f'volume "{text(volume.get("name"))}" uses restricted volume type "{kind}"'
                yield Violation(path, told)


def privilege_escalation(pod: PodTemplate) -> Iterator[Violation]:
    """Containers whose processes may gain more power than their parent has."""
    if is_windows(pod):
        return
    for container in pod.containers:
        if container.security.get("allowPrivilegeEscalation") is not False:
            yield Violation(
                f"{container.path}/securityContext/allowPrivilegeEscalation",
                f'container "{container.name}" must set '
                "securityContext.allowPrivilegeEscalation=false",
            )


def run_as_non_root(pod: PodTemplate) -> Iterator[Violation]:
    """Containers that may run as root for all that the manifest says."""
    if has_user_namespace(pod):
        return
    for path, who, context in holders(pod):
        if context.get("runAsNonRoot") is False:
            told = f"{who} must not set securityContext.runAsNonRoot=false"
            yield Violation(f"{path}/securityContext/runAsNonRoot", told)
    if pod.security.get("runAsNonRoot") is True:
        return
    for container in pod.containers:
        if container.security.get("runAsNonRoot") is None:
            yield Violation(
                f"{container.path}/securityContext/runAsNonRoot",
                f'pod or container "{container.name}" must set securityContext.runAsNonRoot=true',
            )


def run_as_user(pod: PodTemplate) -> Iterator[Violation]:
    """User id 0 by name."""
    if has_user_namespace(pod):
        return
    for path, who, context in holders(pod):
        user = context.get("runAsUser")
        if user == 0 and user is not False:
            yield Violation(f"{path}/securityContext/runAsUser", f"{who} must not set runAsUser=0")


def seccomp_profile(pod: PodTemplate) -> Iterator[Violation]:
    """Containers for which no seccomp profile is asked."""
    if is_windows(pod):
        return
    yield from unconfined(pod, "seccompProfile")
    if at(pod.security, "seccompProfile", "type") is not None:
        return
    for container in pod.containers:
        if at(container.security, "seccompProfile", "type") is None:
            yield Violation(
                f"{container.path}/securityContext/seccompProfile/type",
                f'pod or container "{container.name}" must set securityContext.seccompProfile.type '
                'to "RuntimeDefault" or "Localhost"',
            )


def capabilities(pod: PodTemplate) -> Iterator[Violation]:
    """Containers that keep capabilities, or add one that is more than binding a low port."""
    if is_windows(pod):
        return
    for container in pod.containers:
        dropped = at(container.security, "capabilities", "drop")
        if not (isinstance(dropped, list) and "ALL" in dropped):
            yield Violation(
                f"{container.path}/securityContext/capabilities/drop",
                f'container "{container.name}" must set securityContext.capabilities.drop=["ALL"]',
            )
    yield from added_capabilities(pod, _BINDING_PORTS)


RESTRICTED = (
    control(
        "restricted", ("restrictedVolumes",), "restricted-volumes", restricted_volumes,
        title="A volume is of a kind that the level restricted does not allow",
        why="It reaches the node, or storage that nobody granted.",
        fix="Use a PersistentVolumeClaim, emptyDir, configMap, secret, projected or csi volume.",
    ),
    control(
        "restricted", ("allowPrivilegeEscalation",), "allow-privilege-escalation",
        privilege_escalation,
        title="A container's processes may gain privileges",
        why="A setuid program makes root of any user.",
        fix="Set securityContext.allowPrivilegeEscalation to false.",
    ),
    control(
        "restricted", ("runAsNonRoot",), "run-as-non-root", run_as_non_root,
        title="A container may run as root",
        why="Root in the container is root on the node once it breaks out.",
        fix="Set securityContext.runAsNonRoot to true, and a user in the image.",
    ),
    control(
        "restricted", ("runAsUser",), "run-as-user", run_as_user,
        title="A container runs as user 0",
        why="Root in the container is root on the node once it breaks out.",
        fix="Set runAsUser to another user than 0, or remove it.",
    ),
    control(
        "restricted", ("seccompProfile_restricted", "seccompProfile"),
        "seccomp-profile-restricted", seccomp_profile,
        title="No seccomp profile is asked for",
        why="Without one every system call is open.",
        fix="Set securityContext.seccompProfile.type to RuntimeDefault.",
    ),
    control(
        "restricted", ("capabilities_restricted", "capabilities"), "capabilities-restricted",
        capabilities,
        title="A container keeps capabilities, or adds more than NET_BIND_SERVICE",
        why="What the program does not need, an intruder can use.",
        fix='Set securityContext.capabilities.drop to ["ALL"] and add NET_BIND_SERVICE at most.',
    ),
    control(
        "restricted", ("procMount_restricted", "procMount"), "proc-mount-restricted",
        unmasked_proc,
        title="A container sees an unmasked /proc, in a user namespace or not",
        why="It shows, and lets change, settings of the node's kernel.",
        fix="Remove securityContext.procMount.",
    ),
)  # fmt: skip
"""Every control that the level adds to baseline, as of Kubernetes 1.36."""
