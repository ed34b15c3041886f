"""PodDisruptionBudgets: missing where they would help, and those that let no node be drained."""

from collections.abc import Iterator
from math import ceil
from typing import Final

from pydantic import JsonValue

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.validation.object_set import ObjectSet, PodTemplate
from pilothouse.gitops.validation.reliability.replicas import replicas_of
from pilothouse.gitops.validation.reliability.selection import Autoscalers, budgets_of
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.shapes import at, mapping
from pilothouse.models.findings import Finding

_DRAINED: Final = "A drained node takes as many pods as it has, all at once."
_STUCK: Final = "No node that runs such a pod can be drained: upgrades of the cluster hang."
_ADD: Final = "Add a PodDisruptionBudget with maxUnavailable: 1."

MISSING: Final = {
    "Deployment": Rule(
        "pdb-missing",
        "info",
        "A Deployment of several pods has no PodDisruptionBudget",
        _DRAINED,
        _ADD,
        {
            "polaris": ("missingPodDisruptionBudget",),
            "kube-score": ("deployment-has-poddisruptionbudget",),
        },
    ),
    "StatefulSet": Rule(
        "pdb-missing-statefulset",
        "info",
        "A StatefulSet of several pods has no PodDisruptionBudget",
        _DRAINED,
        _ADD,
        {"kube-score": ("statefulset-has-poddisruptionbudget",)},
    ),
}
MISSING_SINGLE = Rule(
    "pdb-missing-single",
    "info",
    "A Deployment of one pod has no PodDisruptionBudget",
    "A drained node ends the only pod without anybody being asked.",
    "Run more than one pod, then add a PodDisruptionBudget.",
    {"polaris": ("missingPodDisruptionBudget",)},
)
UNSAID: Final = {
    "Deployment": Rule(
        "pdb-missing-unscaled",
        "info",
        "A Deployment that does not say how many pods it has has no PodDisruptionBudget",
        "Whoever scales it up gets pods that are all taken at once.",
        "Set replicas, then add a PodDisruptionBudget with maxUnavailable: 1.",
        MISSING["Deployment"].counterparts,
    ),
    "StatefulSet": Rule(
        "pdb-missing-statefulset-unscaled",
        "info",
        "A StatefulSet that does not say how many pods it has has no PodDisruptionBudget",
        "Whoever scales it up gets pods that are all taken at once.",
        "Set replicas, then add a PodDisruptionBudget with maxUnavailable: 1.",
        MISSING["StatefulSet"].counterparts,
    ),
}
NONE_UNAVAILABLE = Rule(
    "pdb-max-unavailable-zero",
    "warning",
    "A budget allows no pod to be unavailable",
    _STUCK,
    "Set maxUnavailable to 1 or more.",
    {"polaris": ("pdbDisruptionsIsZero",), "kube-linter": ("pdb-max-unavailable",)},
)
ALL_AVAILABLE = Rule(
    "pdb-min-available-all",
    "warning",
    "A budget asks for all pods to be available",
    _STUCK,
    "Set maxUnavailable: 1 instead.",
    {"polaris": ("pdbDisruptionsIsZero",), "kube-linter": ("pdb-min-available",)},
)
ABOVE_REPLICAS = Rule(
    "pdb-min-available-replicas",
    "warning",
    "A budget asks for as many pods as there are, or more",
    _STUCK,
    "Lower minAvailable, or set maxUnavailable: 1 instead.",
    {"kube-linter": ("pdb-min-available",)},
)
ABOVE_AUTOSCALER = Rule(
    "pdb-above-autoscaler",
    "warning",
    "A budget asks for more pods than the autoscaler keeps",
    _STUCK,
    "Lower minAvailable, or raise the autoscaler's minReplicas.",
    {"polaris": ("pdbMinAvailableGreaterThanHPAMinReplicas",)},
)
EMPTY = Rule(
    "pdb-empty",
    "warning",
    "A budget sets neither minAvailable nor maxUnavailable",
    "It does not say what it protects.",
    "Set maxUnavailable: 1.",
    {"kube-score": ("poddisruptionbudget-has-policy",)},
)
UNHEALTHY_KEPT = Rule(
    "pdb-unhealthy-eviction",
    "info",
    "A budget keeps pods that do not work",
    "Pods that crash all the time can keep a node from being drained.",
    "Set unhealthyPodEvictionPolicy: AlwaysAllow.",
    {"kube-linter": ("pdb-unhealthy-pod-eviction-policy",)},
)
RULES = (
    *MISSING.values(),
    MISSING_SINGLE,
    *UNSAID.values(),
    NONE_UNAVAILABLE,
    ALL_AVAILABLE,
    ABOVE_REPLICAS,
    ABOVE_AUTOSCALER,
    EMPTY,
    UNHEALTHY_KEPT,
)


def check_disruption(objects: ObjectSet) -> Iterator[Finding]:
    """Every budget, and every workload that may want one."""
    budgets, scalers = budgets_of(objects), Autoscalers(objects)
    protected: dict[int, list[PodTemplate]] = {}
    for pod in objects.pods:
        own = list(budgets.selecting(pod)) if pod.kind in MISSING else []
        for budget in own:
            protected.setdefault(id(budget), []).append(pod)
        if not own and pod.kind in MISSING and (rule := _missing(pod, scalers)) is not None:
            yield rule.finding(pod.owner, "no PodDisruptionBudget of this set selects its pods")
    for manifest in objects.manifests:
        if manifest.ref.kind == "PodDisruptionBudget":
            yield from _budget(manifest, protected.get(id(manifest), []), scalers)


def _missing(pod: PodTemplate, scalers: Autoscalers) -> Rule | None:
    """The rule by which a workload wants a budget, if any."""
    if replicas_of(pod) > 1 or scalers.of(pod.owner) is not None:
        return MISSING[pod.kind]
    if at(pod.owner.body, "spec", "replicas") is None:
        return UNSAID[pod.kind]
    return MISSING_SINGLE if pod.kind == "Deployment" else None


def _budget(
    budget: LoadedManifest, pods: list[PodTemplate], scalers: Autoscalers
) -> Iterator[Finding]:
    spec = mapping(budget.body.get("spec"))
    most, least = spec.get("maxUnavailable"), spec.get("minAvailable")
    if most is None and least is None:
        yield EMPTY.finding(budget, "the budget has no policy", "/spec")
    if spec.get("unhealthyPodEvictionPolicy") is None:
        message = "unhealthyPodEvictionPolicy is not set"
        yield UNHEALTHY_KEPT.finding(budget, message, "/spec")
    if _count(most, 100) == 0:
        yield NONE_UNAVAILABLE.finding(budget, f"maxUnavailable is {most}", "/spec/maxUnavailable")
    if isinstance(least, str) and _count(least, 100) == 100:
        yield ALL_AVAILABLE.finding(budget, f"minAvailable is {least}", "/spec/minAvailable")
    elif least is not None:
        for pod in pods:
            yield from _too_many(budget, least, pod, scalers)


def _too_many(
    budget: LoadedManifest, least: JsonValue, pod: PodTemplate, scalers: Autoscalers
) -> Iterator[Finding]:
    scaler = scalers.of(pod.owner)
    path = "/spec/minAvailable"
    if scaler is None:
        replicas = replicas_of(pod)
        wanted = _count(least, replicas)
        if wanted is not None and wanted >= replicas > 0:
            message = f"minAvailable is {least}, and {pod.owner.ref} has {replicas}"
            yield ABOVE_REPLICAS.finding(budget, message, path)
        return
    fewest = at(scaler.body, "spec", "minReplicas")
    if not isinstance(fewest, int):
        return
    declared = at(pod.owner.body, "spec", "replicas")
    if isinstance(least, str) and not isinstance(declared, int):
        return  # A share of an unknown number.
    wanted = _count(least, declared if isinstance(declared, int) else fewest)
    if wanted is not None and wanted > fewest:
        message = f"minAvailable is {least}, and {scaler.ref} keeps at least {fewest}"
        yield ABOVE_AUTOSCALER.finding(budget, message, path)
    elif wanted is not None and wanted == fewest:
        message = f"minAvailable is {least}, and {scaler.ref} may keep no more than {fewest}"
        yield ABOVE_REPLICAS.finding(budget, message, path)


def _count(value: JsonValue | None, total: int) -> int | None:
    """A number of pods, or a percentage of a total, rounded up as the controller does."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.endswith("%") and value[:-1].isdecimal():
        return ceil(int(value[:-1]) * total / 100)
    return None
