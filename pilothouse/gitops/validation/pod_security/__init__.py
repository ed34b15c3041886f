"""The Pod Security Standards, as the API server's admission plugin enforces them.

The current version of the standard is meant throughout: pods that pass it pass the older ones, too.
Where a control of the level restricted is stricter than its counterpart of baseline, both are told.
"""

from collections.abc import Iterator

from pilothouse.gitops.validation.object_set import ObjectSet, PodTemplate
from pilothouse.gitops.validation.pod_security.baseline import BASELINE
from pilothouse.gitops.validation.pod_security.control import Control
from pilothouse.gitops.validation.pod_security.restricted import RESTRICTED
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.shapes import at
from pilothouse.models.findings import Finding
from pilothouse.models.pipeline import PodSecurityLevel

ENFORCE_LABEL = "pod-security.kubernetes.io/enforce"
_CONTROLS: dict[PodSecurityLevel, tuple[Control, ...]] = {
    "privileged": (),
    "baseline": BASELINE,
    "restricted": (*BASELINE, *RESTRICTED),
}
RULES: tuple[Rule, ...] = tuple(control.rule for control in _CONTROLS["restricted"])


def check_pod_security(objects: ObjectSet, level: PodSecurityLevel | None) -> Iterator[Finding]:
    """Every violation of every pod template.

    Args:
        objects: the objects that are applied together.
        level: for every pod. Without one the `enforce` label of the pod's namespace decides, if
            the namespace is among the objects; else nothing is said.
    """
    for pod in objects.pods:
        for control in _CONTROLS[level or _enforced(pod, objects)]:
            for path, message in control.violations(pod):
                yield control.rule.finding(pod.owner, message, path)


def _enforced(pod: PodTemplate, objects: ObjectSet) -> PodSecurityLevel:
    name = pod.namespace or objects.default_namespace
    namespace = objects.find("Namespace", "", name) if name else None
    label = at(namespace.body, "metadata", "labels", ENFORCE_LABEL) if namespace else None
    return next((level for level in _CONTROLS if level == label), "privileged")
