"""Settings of pods and containers that are allowed and rarely meant."""

from collections.abc import Iterator
from typing import Final

from pilothouse.gitops.validation.object_set import Container, PodTemplate
from pilothouse.gitops.validation.reliability.tables import Violation, each_container, each_pod
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.shapes import at, entries, mapping, text

NAKED = Rule(
    "naked-pod",
    "warning",
    "A Pod stands by itself",
    "Nothing makes it anew when its node is drained or fails, and it cannot be updated in place.",
    "Use a Deployment, StatefulSet or Job.",
    {"kubescape": ("C-0073",)},
)
NO_CONTAINER = Rule(
    "containers-missing",
    "error",
    "A pod has no containers",
    "The API server refuses it.",
    "Add a container.",
    {
        "kube-score": (
            "container-resources",
            "container-ephemeral-storage-request-and-limit",
        ),
    },
)
PRIORITY = Rule(
    "priority-class-missing",
    "info",
    "Pods have no priority class",
    "When nodes are full, nothing says who has to go.",
    "Set priorityClassName.",
    {"polaris": ("priorityClassNotSet",)},
)
OLD_ACCOUNT_FIELD = Rule(
    "service-account-field-deprecated",
    "info",
    "Pods name their account in a deprecated field",
    "serviceAccount is an alias that will go.",
    "Write serviceAccountName.",
    {"kube-linter": ("deprecated-service-account-field",)},
)
NODE_AFFINITY = Rule(
    "node-affinity-missing",
    "info",
    "Pods do not say which nodes they may run on",
    "They may land on nodes that are meant for others.",
    "Add nodeAffinity where the cluster has several kinds of nodes.",
    {"kube-linter": ("no-node-affinity",)},
)
RESTART_POLICY = Rule(
    "restart-policy-not-set",
    "info",
    "Pods do not say that they are restarted",
    "A reader has to know the default, and Never leaves a failed container alone.",
    "Set restartPolicy to Always or OnFailure.",
    {"kube-linter": ("restart-policy",)},
)
NO_GRACE = Rule(
    "grace-period-zero",
    "warning",
    "Pods are killed without warning",
    "Requests are cut off, and volumes may not be unmounted in order.",
    "Set terminationGracePeriodSeconds to what a clean stop takes.",
)
STOP_TOO_LONG = Rule(
    "pre-stop-exceeds-grace",
    "warning",
    "A preStop hook takes the whole time that there is to stop",
    "The process is killed before it hears that it should stop.",
    "Raise terminationGracePeriodSeconds above the hook's time.",
)
HOST_DNS = Rule(
    "dns-policy-host-network",
    "info",
    "Pods in the host's network do not find Services by name",
    "They resolve names as the node does.",
    "Set dnsPolicy: ClusterFirstWithHostNet.",
)
DNS_OPTIONS = Rule(
    "dns-options-missing",
    "info",
    "Pods set no DNS options",
    "With ndots: 5 each outer name costs several look-ups.",
    "Set dnsConfig.options where look-ups matter.",
    {"kube-linter": ("dnsconfig-options",)},
)
ENV_TWICE = Rule(
    "env-duplicate",
    "warning",
    "A container sets an environment variable twice",
    "The last one wins, and server-side apply may keep either.",
    "Keep one of them.",
    {
        "kube-linter": ("duplicate-env-var",),
        "kube-score": ("environment-variable-key-duplication",),
    },
)
RULES = (
    NAKED,
    NO_CONTAINER,
    PRIORITY,
    OLD_ACCOUNT_FIELD,
    NODE_AFFINITY,
    RESTART_POLICY,
    NO_GRACE,
    STOP_TOO_LONG,
    HOST_DNS,
    DNS_OPTIONS,
    ENV_TWICE,
)
_USUAL_GRACE: Final = 30
"""Seconds, if a pod says nothing."""


def _naked(pod: PodTemplate) -> Iterator[Violation]:
    if pod.kind == "Pod" and not pod.metadata.get("ownerReferences"):
        yield Violation("/kind", "nothing makes this Pod anew when it is gone")


def _no_container(pod: PodTemplate) -> Iterator[Violation]:
    if not any(container.kind == "regular" for container in pod.containers):
        yield Violation(f"{pod.path}/containers", "the pod has no containers")


def _no_priority(pod: PodTemplate) -> Iterator[Violation]:
    if not pod.spec.get("priorityClassName"):
        yield Violation(pod.path, "priorityClassName is not set")


def _old_account_field(pod: PodTemplate) -> Iterator[Violation]:
    if pod.spec.get("serviceAccount"):
        yield Violation(f"{pod.path}/serviceAccount", "serviceAccount is deprecated")


def _no_node_affinity(pod: PodTemplate) -> Iterator[Violation]:
    if not at(pod.spec, "affinity", "nodeAffinity"):
        yield Violation(pod.path, "the pods have no nodeAffinity")


def _restart_policy(pod: PodTemplate) -> Iterator[Violation]:
    policy = text(pod.spec.get("restartPolicy"))
    if policy not in {"Always", "OnFailure"}:
        yield Violation(f"{pod.path}/restartPolicy", f"restartPolicy is {policy or 'not set'}")


def _no_grace(pod: PodTemplate) -> Iterator[Violation]:
    if pod.spec.get("terminationGracePeriodSeconds") == 0:
        path = f"{pod.path}/terminationGracePeriodSeconds"
        yield Violation(path, "terminationGracePeriodSeconds is 0")


def _host_dns(pod: PodTemplate) -> Iterator[Violation]:
    policy = pod.spec.get("dnsPolicy", "ClusterFirst")
    if pod.spec.get("hostNetwork") is True and policy == "ClusterFirst":
        message = "with hostNetwork, dnsPolicy ClusterFirst means Default"
        yield Violation(f"{pod.path}/dnsPolicy", message)


def _no_dns_options(pod: PodTemplate) -> Iterator[Violation]:
    if not at(pod.spec, "dnsConfig", "options"):
        yield Violation(pod.path, "dnsConfig.options is not set")


def _stop_too_long(pod: PodTemplate, container: Container) -> Iterator[Violation]:
    hook = mapping(at(container.body, "lifecycle", "preStop"))
    seconds = at(hook, "sleep", "seconds")
    command = at(hook, "exec", "command")
    words = " ".join(map(str, command)).split() if isinstance(command, list) else []
    if len(words) >= 2 and words[-2].rpartition("/")[2] == "sleep" and words[-1].isdecimal():
        seconds = int(words[-1])
    grace = pod.spec.get("terminationGracePeriodSeconds", _USUAL_GRACE)
    if isinstance(seconds, int) and isinstance(grace, int) and 0 < grace <= seconds:
        message = f"the hook sleeps {seconds} s of the {grace} s that there are"
        yield Violation(f"{container.path}/lifecycle/preStop", message)


def _env_twice(pod: PodTemplate, container: Container) -> Iterator[Violation]:
    del pod
    seen: set[str] = set()
    for index, variable in entries(container.body.get("env")):
        name = text(variable.get("name"))
        if name in seen:
            message = f'the variable "{name}" is set twice'
            yield Violation(f"{container.path}/env/{index}/name", message)
        seen.add(name)


check_pods = each_pod(
    (NAKED, _naked),
    (NO_CONTAINER, _no_container),
    (PRIORITY, _no_priority),
    (OLD_ACCOUNT_FIELD, _old_account_field),
    (NODE_AFFINITY, _no_node_affinity),
    (RESTART_POLICY, _restart_policy),
    (NO_GRACE, _no_grace),
    (HOST_DNS, _host_dns),
    (DNS_OPTIONS, _no_dns_options),
)
check_containers = each_container((STOP_TOO_LONG, _stop_too_long), (ENV_TWICE, _env_twice))
