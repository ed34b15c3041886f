"""What pods share with their node: namespaces, ports and directories."""

import posixpath
import re
from collections.abc import Iterator

from pilothouse.gitops.validation.object_set import ObjectSet, PodTemplate
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.shapes import at, entries, text
from pilothouse.models.findings import Finding

_NAMESPACES = ("baseline:hostNamespaces", "baseline:hostnamespaces")
HOST_NETWORK = Rule(
    "host-network",
    "warning",
    "A pod uses its node's network",
    "It sees the node's traffic, reaches what listens on localhost, and no policy holds it.",
    "Remove hostNetwork.",
    {
        "kubescape": ("C-0041",),
        "polaris": ("hostNetworkSet",),
        "kube-linter": ("host-network",),
        "checkov": ("CKV_K8S_19",),
        "pod-security": _NAMESPACES,
    },
)
HOST_PID = Rule(
    "host-pid",
    "warning",
    "A pod sees its node's processes",
    "It can read their environment, and with a little more end or change them.",
    "Remove hostPID.",
    {
        "kubescape": ("C-0038",),
        "polaris": ("hostPIDSet",),
        "kube-linter": ("host-pid",),
        "checkov": ("CKV_K8S_17",),
        "pod-security": _NAMESPACES,
    },
)
HOST_IPC = Rule(
    "host-ipc",
    "warning",
    "A pod shares memory with its node's processes",
    "It can read and change what they exchange.",
    "Remove hostIPC.",
    {
        "kubescape": ("C-0038",),
        "polaris": ("hostIPCSet",),
        "kube-linter": ("host-ipc",),
        "checkov": ("CKV_K8S_18",),
        "pod-security": _NAMESPACES,
    },
)
HOST_PORT = Rule(
    "host-port",
    "warning",
    "A container takes a port of its node",
    "It is reachable past Services and policies, and only one such pod fits on a node.",
    "Remove hostPort and use a Service.",
    {
        "kubescape": ("C-0044",),
        "polaris": ("hostPortSet",),
        "checkov": ("CKV_K8S_26",),
        "pod-security": ("baseline:hostPorts", "baseline:hostports"),
    },
)
_PATHS = ("baseline:hostPathVolumes", "baseline:hostpathvolumes")
HOST_PATH = Rule(
    "host-path",
    "warning",
    "A volume is a directory of the node",
    "It outlives the pod, differs from node to node, and is shared with whatever else is there.",
    "Use a PersistentVolumeClaim, emptyDir, configMap or secret.",
    {"kubescape": ("C-0048",), "polaris": ("hostPathSet",), "pod-security": _PATHS},
)
SENSITIVE_PATH = Rule(
    "host-path-sensitive",
    "warning",
    "A volume is a system directory of the node",
    "What is there decides what the node runs, and holds its keys.",
    "Remove the volume.",
    {
        "kubescape": ("C-0048",),
        "polaris": ("hostPathSet",),
        "kube-linter": ("sensitive-host-mounts",),
        "pod-security": _PATHS,
    },
)
RUNTIME_SOCKET = Rule(
    "runtime-socket",
    "warning",
    "A pod can talk to its node's container runtime",
    "Who reaches the socket can start any container, also a privileged one.",
    "Remove the volume.",
    {"kubescape": ("C-0048", "C-0074"), "polaris": ("hostPathSet",), "pod-security": _PATHS},
)
DOCKER_SOCKET = Rule(
    "docker-socket",
    "warning",
    "A pod can talk to its node's Docker daemon",
    "Who reaches the socket can start any container, also a privileged one.",
    "Remove the volume; build images with a tool that needs no daemon.",
    {
        "kubescape": ("C-0048", "C-0074"),
        "polaris": ("hostPathSet",),
        "kube-linter": ("docker-sock",),
        "checkov": ("CKV_K8S_27",),
        "pod-security": _PATHS,
    },
)
CLOUD_CREDENTIALS = Rule(
    "host-path-cloud-credentials",
    "warning",
    "A volume holds the node's credentials for its cloud",
    "With them an intruder leaves the cluster.",
    "Remove the volume; use the provider's identity for workloads.",
    {"kubescape": ("C-0048", "C-0020"), "polaris": ("hostPathSet",), "pod-security": _PATHS},
)
WRITABLE_PATH = Rule(
    "host-path-writable",
    "warning",
    "A container can write to a directory of the node",
    "What it leaves there may be run by the node or by other pods.",
    "Set readOnly to true for the mount.",
    {"kubescape": ("C-0045",), "kube-linter": ("writable-host-mount",)},
)
SHARED_PROCESSES = Rule(
    "process-namespace-shared",
    "info",
    "The containers of a pod see each other's processes",
    "One that is broken into can read the memory and files of the others.",
    "Remove shareProcessNamespace.",
)
USER_NAMESPACE = Rule(
    "user-namespace-off",
    "info",
    "A pod insists on the node's users",
    "Root in the pod is root on the node once it breaks out.",
    "Remove hostUsers, or set it to false.",
)
RULES = (
    HOST_NETWORK,
    HOST_PID,
    HOST_IPC,
    HOST_PORT,
    HOST_PATH,
    SENSITIVE_PATH,
    RUNTIME_SOCKET,
    DOCKER_SOCKET,
    CLOUD_CREDENTIALS,
    WRITABLE_PATH,
    SHARED_PROCESSES,
    USER_NAMESPACE,
)
_SHARED = (
    ("hostNetwork", HOST_NETWORK, "the pod uses the node's network"),
    ("hostPID", HOST_PID, "the pod sees the node's processes"),
    ("hostIPC", HOST_IPC, "the pod shares memory with the node's processes"),
    ("shareProcessNamespace", SHARED_PROCESSES, "the containers see each other's processes"),
    ("hostUsers", USER_NAMESPACE, "the pod runs without a user namespace of its own"),
)
_SYSTEM_DIRECTORIES = frozenset({
    "/", "/boot", "/dev", "/etc", "/lib", "/proc", "/sys", "/usr", "/root", "/var/lib/kubelet",
    "/var/lib/etcd", "/etc/kubernetes",
})  # fmt: skip
_DOCKER = re.compile(r"docker\.sock$|^(/var)?/run/docker(\.sock)?$")
_RUNTIME = re.compile(r"(containerd|crio|cri-dockerd|podman|buildkitd)(/\w+)?\.sock$")
_CLOUD = re.compile(r"/(\.aws|\.azure|\.config/gcloud|\.gsutil)(/|$)|/azure\.json$")


def check_node_access(objects: ObjectSet) -> Iterator[Finding]:
    """Every pod's use of its node."""
    for pod in objects.pods:
        for field, rule, told in _SHARED:
            if pod.spec.get(field) is True:
                yield rule.finding(pod.owner, told, f"{pod.path}/{field}")
        for container in pod.containers:
            for index, port in entries(container.body.get("ports")):
                if port.get("hostPort"):
                    told = f'container "{container.name}" takes the port {port["hostPort"]}'
                    path = f"{container.path}/ports/{index}/hostPort"
                    yield HOST_PORT.finding(pod.owner, f"{told} of the node", path)
        yield from _directories(pod)


def _directories(pod: PodTemplate) -> Iterator[Finding]:
    from_node: dict[str, str] = {}
    for index, volume in entries(pod.spec.get("volumes")):
        if volume.get("hostPath") is None:
            continue
        name, path = text(volume.get("name")), text(at(volume, "hostPath", "path"))
        from_node[name] = path
        told = f'the volume "{name}" is {path} of the node'
        yield _kind_of(path).finding(pod.owner, told, f"{pod.path}/volumes/{index}/hostPath/path")
    if not from_node:
        return
    for container in pod.containers:
        for index, mount in entries(container.body.get("volumeMounts")):
            name = text(mount.get("name"))
            if name in from_node and mount.get("readOnly") is not True:
                told = f'container "{container.name}" can write to {from_node[name]} of the node'
                where = f"{container.path}/volumeMounts/{index}"
                yield WRITABLE_PATH.finding(pod.owner, told, where)


def _kind_of(path: str) -> Rule:
    directory = posixpath.normpath(path) if path else path
    if _DOCKER.search(directory):
        return DOCKER_SOCKET
    if _RUNTIME.search(directory):
        return RUNTIME_SOCKET
    if _CLOUD.search(directory):
        return CLOUD_CREDENTIALS
    return SENSITIVE_PATH if directory in _SYSTEM_DIRECTORIES else HOST_PATH
