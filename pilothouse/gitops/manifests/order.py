"""The order in which objects are applied: what others stand on comes first."""

from collections.abc import Iterable

from pilothouse.gitops.manifests.scopes import Scopes
from pilothouse.gitops.opt_outs import wave_of
from pilothouse.models.objects import Manifest

FOUNDATIONS, CLASSES, OBJECTS, ADMISSION = range(4)
"""The stages: all of one is applied, and ready, before the next begins. Waves divide a stage."""

_ADMISSION_KINDS = frozenset({
    "APIService",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
})
_KIND_ORDER = (
    "CustomResourceDefinition",
    "Namespace",
    "ClusterRole",
    "ClusterRoleBinding",
    "PersistentVolume",
    "ResourceQuota",
    "LimitRange",
    "NetworkPolicy",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Secret",
    "PersistentVolumeClaim",
    "Service",
    "DaemonSet",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "StatefulSet",
    "Pod",
    "Job",
    "CronJob",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "Ingress",
)
_RANK = {kind: rank for rank, kind in enumerate(_KIND_ORDER)}
_BUILT_IN = Scopes()


def stage_of(manifest: Manifest) -> int:
    """`FOUNDATIONS` (definitions, namespaces, built-in cluster-scoped kinds), `CLASSES`,
    `OBJECTS` (the rest, custom resources included) or `ADMISSION` (what could refuse the rest).
    """  # noqa: D205  # one sentence that needs two lines
    ref = manifest.ref
    built_in = "." not in ref.group or ref.group.endswith(".k8s.io")
    if built_in and ref.kind in _ADMISSION_KINDS:
        return ADMISSION
    if ref.kind.endswith("Class"):
        return CLASSES
    if built_in and not _BUILT_IN.is_namespaced(ref.group, ref.kind):
        return FOUNDATIONS
    return OBJECTS


def apply_order(manifests: Iterable[Manifest]) -> tuple[Manifest, ...]:
    """Sorted by stage, wave, kind, namespace and name: the same set has one order.

    Kinds that we do not know, custom resources above all, follow the built-in ones of their wave.
    """

    def key(manifest: Manifest) -> tuple[int, int, int, str, str, str]:
        ref = manifest.ref
        rank = _RANK.get(ref.kind, len(_RANK))
        wave = wave_of(manifest.body)
        return stage_of(manifest), wave, rank, ref.kind, ref.namespace, ref.name

    return tuple(sorted(manifests, key=key))
