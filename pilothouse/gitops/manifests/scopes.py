"""Which kinds live in a namespace."""

from collections.abc import Iterable, Mapping

from pydantic import JsonValue

_CLUSTER_KINDS: Mapping[str, frozenset[str]] = {
    "": frozenset({"ComponentStatus", "Namespace", "Node", "PersistentVolume"}),
    "admissionregistration.k8s.io": frozenset({
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
    }),
    "apiextensions.k8s.io": frozenset({"CustomResourceDefinition"}),
    "apiregistration.k8s.io": frozenset({"APIService"}),
    "authentication.k8s.io": frozenset({"SelfSubjectReview", "TokenReview"}),
    "authorization.k8s.io": frozenset({
        "SelfSubjectAccessReview",
        "SelfSubjectRulesReview",
        "SubjectAccessReview",
    }),
    "certificates.k8s.io": frozenset({"CertificateSigningRequest", "ClusterTrustBundle"}),
    "flowcontrol.apiserver.k8s.io": frozenset({"FlowSchema", "PriorityLevelConfiguration"}),
    "internal.apiserver.k8s.io": frozenset({"StorageVersion"}),
    "networking.k8s.io": frozenset({"IngressClass", "IPAddress", "ServiceCIDR"}),
    "node.k8s.io": frozenset({"RuntimeClass"}),
    "policy": frozenset({"PodSecurityPolicy"}),
    "rbac.authorization.k8s.io": frozenset({"ClusterRole", "ClusterRoleBinding"}),
    "resource.k8s.io": frozenset({"DeviceClass", "DeviceTaintRule", "ResourceSlice"}),
    "scheduling.k8s.io": frozenset({"PriorityClass"}),
    "storage.k8s.io": frozenset({
        "CSIDriver",
        "CSINode",
        "StorageClass",
        "VolumeAttachment",
        "VolumeAttributesClass",
    }),
    "storagemigration.k8s.io": frozenset({"StorageVersionMigration"}),
    "gateway.networking.k8s.io": frozenset({"GatewayClass"}),
}
_CLUSTER_PREFIX = "Cluster"


class Scopes:
    """The scope of each kind, with the custom kinds that a set of objects defines.

    A custom kind without its definition is taken to be namespaced, unless its name begins with
    `Cluster`, as the field names such kinds (ClusterIssuer, ClusterPolicy). The API server refuses
    the object if this is wrong; it cannot end in another place than the one that was reviewed.
    """

    def __init__(self, bodies: Iterable[Mapping[str, JsonValue]] = ()) -> None:
        self._custom: dict[tuple[str, str], bool] = {}
        for body in bodies:
            if body.get("kind") == "CustomResourceDefinition":
                self._learn(body.get("spec"))

    def _learn(self, spec: JsonValue | None) -> None:
        if not isinstance(spec, dict) or not isinstance(names := spec.get("names"), dict):
            return
        key = (str(spec.get("group", "")), str(names.get("kind", "")))
        self._custom[key] = spec.get("scope") == "Namespaced"

    def is_namespaced(self, group: str, kind: str) -> bool:
        """Whether objects of this kind live in a namespace."""
        if (group, kind) in self._custom:
            return self._custom[group, kind]
        if group in _CLUSTER_KINDS:
            return kind not in _CLUSTER_KINDS[group]
        return not kind.startswith(_CLUSTER_PREFIX) or "." not in group
