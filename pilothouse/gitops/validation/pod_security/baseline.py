"""The controls of the level baseline: no known escalation of privileges."""

from collections.abc import Iterator

from pydantic import JsonValue

from pilothouse.gitops.manifests.places import escape
from pilothouse.gitops.validation.object_set import PodTemplate
from pilothouse.gitops.validation.pod_security.control import (
    Violation,
    control,
    forbidden,
    has_user_namespace,
    holders,
)
from pilothouse.gitops.validation.shapes import at, entries, mapping, text

APP_ARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
DEFAULT_CAPABILITIES = frozenset({
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
    "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
})  # fmt: skip
"""What container runtimes give without being asked."""
SAFE_SYSCTLS = frozenset({
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
})
"""Namespaced ones that cannot hurt other pods; as of Kubernetes 1.32 and later."""
_SELINUX_TYPES = frozenset({
    "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t",
})  # fmt: skip
_CONFINED = frozenset({"RuntimeDefault", "Localhost"})
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def host_namespaces(pod: PodTemplate) -> Iterator[Violation]:
    """Namespaces of the node that the pod shares."""
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.spec.get(field) is True:
            yield Violation(f"{pod.path}/{field}", f"{field}=true shares a namespace of the node")


def added_capabilities(pod: PodTemplate, allowed: frozenset[str]) -> Iterator[Violation]:
    """Capabilities beyond the allowed ones that containers add."""
    for container in pod.containers:
        added = at(container.security, "capabilities", "add")
        for index, name in enumerate(added if isinstance(added, list) else ()):
            if name not in allowed:
                yield Violation(
                    f"{container.path}/securityContext/capabilities/add/{index}",
                    f'container "{container.name}" must not include "{name}" in '
                    "securityContext.capabilities.add",
                )


privileged = forbidden(
    "privileged",
    lambda value: value is not True,
    "must not set securityContext.privileged=true",
)


def host_path_volumes(pod: PodTemplate) -> Iterator[Violation]:
    """Volumes that are directories of the node."""
    for index, volume in entries(pod.spec.get("volumes")):
        if volume.get("hostPath") is not None:
            path = f"{pod.path}/volumes/{index}/hostPath"
            yield Violation(path, f'hostPath volumes: volume "{text(volume.get("name"))}"')


def host_ports(pod: PodTemplate) -> Iterator[Violation]:
    """Ports of the node that containers take."""
    for container in pod.containers:
        for index, port in entries(container.body.get("ports")):
            if port.get("hostPort"):
                path = f"{container.path}/ports/{index}/hostPort"
                told = f'container "{container.name}" uses hostPort {port.get("hostPort")}'
                yield Violation(path, told)


def unconfined(pod: PodTemplate, field: str) -> Iterator[Violation]:
    """Profiles of a kernel filter that do not confine, in the pod or one of its containers."""
    for path, who, context in holders(pod):
        kind = at(context, field, "type")
        if kind is not None and kind not in _CONFINED:
            yield Violation(
                f"{path}/securityContext/{field}/type",
                f'{who} must not set securityContext.{field}.type to "{kind}"',
            )


def app_armor(pod: PodTemplate) -> Iterator[Violation]:
    """AppArmor profiles that do not confine, in fields and in the annotations before them."""
    yield from unconfined(pod, "appArmorProfile")
    for key, profile in pod.annotations.items():
        if not key.startswith(APP_ARMOR_ANNOTATION):
            continue
        if profile in ("", "runtime/default") or text(profile).startswith("localhost/"):
            continue
        path = f"{pod.metadata_path}/annotations/{escape(key)}"
        yield Violation(path, f'annotation "{key}" must not be "{profile}"')


def selinux_options(pod: PodTemplate) -> Iterator[Violation]:
    """SELinux labels of one's own choice."""
    for path, who, context in holders(pod):
        options = mapping(context.get("seLinuxOptions"))
        where = f"{path}/securityContext/seLinuxOptions"
        kind = options.get("type")
        if kind is not None and kind not in _SELINUX_TYPES:
            yield Violation(f"{where}/type", f'{who} set forbidden seLinuxOptions.type "{kind}"')
        for field in ("user", "role"):
            if options.get(field):
                told = f"{who} must not set securityContext.seLinuxOptions.{field}"
                yield Violation(f"{where}/{field}", told)


def proc_mount(pod: PodTemplate) -> Iterator[Violation]:
    """A /proc without the masks that runtimes put over it."""
    if not has_user_namespace(pod):
        yield from unmasked_proc(pod)


unmasked_proc = forbidden(
    "procMount",
    lambda value: value == "Default",
    'must not set securityContext.procMount to "{}"',
)


def unsafe_sysctls(pod: PodTemplate) -> Iterator[Violation]:
    """Kernel parameters that may hurt other pods."""
    for index, sysctl in entries(pod.security.get("sysctls")):
        name = text(sysctl.get("name"))
        # The kubelet takes slashes, too; the admission plugin does not translate them.
        if name not in SAFE_SYSCTLS:
            path = f"{pod.path}/securityContext/sysctls/{index}/name"
            yield Violation(path, f"forbidden sysctl {name}")


def windows_host_process(pod: PodTemplate) -> Iterator[Violation]:
    """Windows containers that are processes of the node."""
    for path, who, context in holders(pod):
        if at(context, "windowsOptions", "hostProcess") is True:
            yield Violation(
                f"{path}/securityContext/windowsOptions/hostProcess",
                f"{who} must not set securityContext.windowsOptions.hostProcess=true",
            )


def probed_hosts(pod: PodTemplate) -> Iterator[Violation]:
    """Other hosts that the kubelet would ask in the name of a probe or lifecycle hook."""
    for container in pod.containers:
        body = container.body
        hooks: dict[str, JsonValue] = {name: body.get(name) for name in _PROBES}
        for name, hook in mapping(body.get("lifecycle")).items():
            hooks[f"lifecycle/{name}"] = hook
        for name, hook in hooks.items():
            for action in ("httpGet", "tcpSocket"):
                host = at(hook, action, "host")
                if host:
                    yield Violation(
                        f"{container.path}/{name}/{action}/host",
                        f'container "{container.name}" must not set '
                        f'{name.replace("/", ".")}.{action}.host to "{host}"',
                    )


BASELINE = (
    control(
        "baseline", ("hostNamespaces",), "host-namespaces", host_namespaces,
        title="A pod shares a namespace of its node",
        why="It sees, or can disturb, what belongs to the node and to other pods.",
        fix="Remove hostNetwork, hostPID and hostIPC.",
    ),
    control(
        "baseline", ("privileged",), "privileged",
        privileged,
        title="A container is privileged",
        why="It is root on the node in all but name.",
        fix="Remove securityContext.privileged.",
    ),
    control(
        "baseline", ("capabilities", "capabilities_baseline"), "capabilities",
        lambda pod: added_capabilities(pod, DEFAULT_CAPABILITIES),
        title="A container adds a capability beyond the default ones",
        why="Capabilities such as SYS_ADMIN are parts of root's power over the node.",
        fix="Remove it from securityContext.capabilities.add.",
    ),
    control(
        "baseline", ("hostPathVolumes",), "host-path-volumes", host_path_volumes,
        title="A volume is a directory of the node",
        why="What is written there may be run by the node.",
        fix="Use a PersistentVolumeClaim, emptyDir, configMap or secret.",
    ),
    control(
        "baseline", ("hostPorts",), "host-ports", host_ports,
        title="A container takes a port of its node",
        why="It goes around network policies, and only one such pod fits on a node.",
        fix="Remove hostPort and use a Service.",
    ),
    control(
        "baseline", ("appArmorProfile",), "apparmor-profile", app_armor,
        title="AppArmor does not confine a container",
        why="The profile is what stands between a container that broke out and the node.",
        fix="Remove the profile, or use RuntimeDefault or Localhost.",
    ),
    control(
        "baseline", ("seLinuxOptions",), "selinux-options", selinux_options,
        title="A pod chooses SELinux labels that are not for containers",
        why="Other labels may open the node's files.",
        fix="Remove user and role; leave type to the runtime.",
    ),
    control(
        "baseline", ("procMount", "procMount_baseline"), "proc-mount", proc_mount,
        title="A container sees an unmasked /proc",
        why="It shows, and lets change, settings of the node's kernel.",
        fix="Remove securityContext.procMount.",
    ),
    control(
        "baseline", ("seccompProfile", "seccompProfile_baseline"), "seccomp-profile",
        lambda pod: unconfined(pod, "seccompProfile"),
        title="Seccomp does not confine a container",
        why="Every system call is open, also those that only attacks use.",
        fix="Use the seccomp profile RuntimeDefault or Localhost.",
    ),
    control(
        "baseline", ("sysctls",), "sysctls", unsafe_sysctls,
        title="A pod sets a kernel parameter that is not safe",
        why="It may take resources from other pods of the node, or weaken it.",
        fix="Remove it from securityContext.sysctls.",
    ),
    control(
        "baseline", ("windowsHostProcess",), "windows-host-process", windows_host_process,
        title="A Windows container is a process of its node",
        why="It has the power of the node's administrator.",
        fix="Remove windowsOptions.hostProcess.",
    ),
    control(
        "baseline", ("hostProbesAndHostLifecycle", "hostProbesAndLifecycle"),
        "host-probes-and-lifecycle", probed_hosts,
        title="A probe or lifecycle hook names a host",
        why="The kubelet would send requests from the node to any address.",
        fix="Remove host; the pod itself is asked then.",
    ),
)  # fmt: skip
"""Every control of the level, as of Kubernetes 1.34 and later."""
