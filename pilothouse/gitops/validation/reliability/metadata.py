"""Names, labels, sizes and API versions of objects."""

import re
from collections.abc import Iterator
from typing import Final

from pydantic import JsonValue

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.validation.object_set import ObjectSet, PodTemplate
from pilothouse.gitops.validation.reliability.tables import Violation, each_object, each_pod
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.shapes import at, entries, mapping, text

LABELS_MISSING = Rule(
    "labels-missing",
    "info",
    "Pods have none of the usual labels",
    "Nobody can select them by application, tier, version, owner or environment.",
    "Add labels such as app.kubernetes.io/name.",
    {"kubescape": ("C-0076",)},
)
COMMON_LABELS = Rule(
    "labels-recommended-missing",
    "info",
    "A workload has no recommended label",
    "Tools cannot show it as a part of its application.",
    "Add app.kubernetes.io/name, instance, version and managed-by.",
    {"kubescape": ("C-0077",)},
)
INSTANCE = Rule(
    "label-instance-mismatch",
    "info",
    "The label app.kubernetes.io/instance is not the workload's name",
    "Tools that go by it find another workload, or none.",
    "Set the label to metadata.name, if your tools go by it.",
    {"polaris": ("metadataAndInstanceMismatched",)},
)
NAME_LABEL = Rule(
    "label-name-mismatch",
    "info",
    "The label app.kubernetes.io/name is not the workload's name",
    "Tools that go by it find another workload.",
    "Set the label to metadata.name, if your tools go by it.",
    {"polaris": ("nakedPod", "oneController")},
)
OWNER_MISSING = Rule(
    "label-owner-missing",
    "info",
    "A workload does not say whose it is",
    "Nobody knows whom to ask at night.",
    "Add the label owner.",
    {"kube-linter": ("required-label-owner",)},
)
EMAIL_MISSING = Rule(
    "annotation-email-missing",
    "info",
    "A workload has no address to write to",
    "Nobody knows whom to ask.",
    "Add the annotation email.",
    {"kube-linter": ("required-annotation-email",)},
)
LABEL_INVALID = Rule(
    "label-invalid",
    "error",
    "A label's value is not one that Kubernetes takes",
    "The API server refuses the object.",
    "Use at most 63 letters, digits, -, _ and ., with a letter or digit at both ends.",
    {"kube-score": ("label-values",)},
)
NAME_INVALID = Rule(
    "name-invalid",
    "error",
    "A name is too long, or has characters that Kubernetes does not take",
    "The API server refuses the object, or its controller cannot make pods.",
    "Use lower-case letters, digits and -, within the length that the finding names.",
)
PORT_INVALID = Rule(
    "port-name-invalid",
    "error",
    "A port's name is not one that Kubernetes takes",
    "The API server refuses the object.",
    "Use at most 15 lower-case letters, digits and single -, with a letter among them.",
    {"kube-linter": ("invalid-target-ports",), "kube-score": ("container-ports-check",)},
)
PORT_NUMBER = Rule(
    "port-number-invalid",
    "error",
    "A container's port has no number, or one that does not exist",
    "The API server refuses the pod.",
    "Set containerPort to 1 up to 65535.",
    {"kube-score": ("container-ports-check",)},
)
TOO_LARGE = Rule(
    "data-too-large",
    "error",
    "A ConfigMap or Secret holds more than 1 MiB",
    "The API server refuses it.",
    "Split it, or keep large files in an image or a volume.",
)
DEPRECATED = Rule(
    "api-version-deprecated",
    "warning",
    "An object's API version is deprecated",
    "A coming version of Kubernetes does not serve it.",
    "Write it in the version that the finding names.",
)
RULES = (
    LABELS_MISSING,
    COMMON_LABELS,
    INSTANCE,
    NAME_LABEL,
    OWNER_MISSING,
    EMAIL_MISSING,
    LABEL_INVALID,
    NAME_INVALID,
    PORT_INVALID,
    PORT_NUMBER,
    TOO_LARGE,
    DEPRECATED,
)
_WORKLOADS: Final = frozenset({
    "CronJob", "DaemonSet", "Deployment", "Job", "Pod", "ReplicaSet", "ReplicationController",
    "StatefulSet",
})  # fmt: skip
_COMMON: Final = "app.kubernetes.io/"
_USUAL: Final = frozenset({
    "app", "env", "environment", "k8s-app", "owner", "phase", "team", "tier", "version",
})  # fmt: skip
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_LABEL_VALUE: Final = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_DNS_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_DNS_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_SERVICE_NAME: Final = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?")
_NAMES: Final = {
    ("", "Service"): (_SERVICE_NAME, 63),
    ("", "Namespace"): (_DNS_LABEL, 63),
    ("batch", "CronJob"): (_DNS_NAME, 52),
    ("apps", "Deployment"): (_DNS_NAME, 253),
    ("apps", "StatefulSet"): (_DNS_NAME, 253),
    ("apps", "DaemonSet"): (_DNS_NAME, 253),
    ("", "ConfigMap"): (_DNS_NAME, 253),
    ("", "Secret"): (_DNS_NAME, 253),
}
_PORT_NAME: Final = re.compile(r"(?=.*[a-z])[a-z0-9](?:-?[a-z0-9])*")
_LARGEST: Final = 1024 * 1024
_REPLACED: Final = {
    ("v1", "ComponentStatus"): "the health endpoints of the API server",
    ("v1", "Endpoints"): "discovery.k8s.io/v1 EndpointSlice",
}


def _labels_missing(pod: PodTemplate) -> Iterator[Violation]:
    if not any(key in _USUAL or key.startswith(_COMMON) for key in pod.labels):
        yield Violation(f"{pod.metadata_path}/labels", "the pods have no usual label")


def _no_common_labels(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    del objects
    if not any(key.startswith(_COMMON) for key in _labels(manifest)):
        yield Violation("/metadata/labels", "no label begins with app.kubernetes.io/")


def _instance(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    del objects
    value = _labels(manifest).get(f"{_COMMON}instance")
    if value != manifest.ref.name:
        shown = "not set" if value is None else f'"{value}"'
        yield Violation("/metadata/labels", f"app.kubernetes.io/instance is {shown}")


def _name_label(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    del objects
    value = _labels(manifest).get(f"{_COMMON}name")
    if value is not None and value != manifest.ref.name:
        yield Violation("/metadata/labels", f'app.kubernetes.io/name is "{value}"')


def _no_owner(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    del objects
    if "owner" not in _labels(manifest):
        yield Violation("/metadata/labels", "the label owner is not set")


def _no_email(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    del objects
    value = text(at(manifest.body, "metadata", "annotations", "email"))
    if not _EMAIL.fullmatch(value):
        yield Violation("/metadata/annotations", "the annotation email holds no address")


def _bad_labels(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    del objects
    yield from _invalid(_labels(manifest), "/metadata/labels")


def _bad_pod_labels(pod: PodTemplate) -> Iterator[Violation]:
    if pod.kind != "Pod":
        yield from _invalid(pod.labels, f"{pod.metadata_path}/labels")


def _invalid(labels: dict[str, JsonValue], path: str) -> Iterator[Violation]:
    for key, value in labels.items():
        if isinstance(value, str) and not _LABEL_VALUE.fullmatch(value):
            yield Violation(path, f'the label {key} cannot be "{value}"')


def _bad_name(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    del objects
    known = _NAMES.get((manifest.ref.group, manifest.ref.kind))
    if known is None:
        return
    pattern, longest = known
    name = manifest.ref.name
    if len(name) > longest:
        message = f"the name has {len(name)} characters; {longest} are allowed"
        yield Violation("/metadata/name", message)
    elif not pattern.fullmatch(name):
        message = f'"{name}" is no name for a {manifest.ref.kind}'
        yield Violation("/metadata/name", message)


def _bad_ports(pod: PodTemplate) -> Iterator[Violation]:
    for container in pod.containers:
        for index, port in entries(container.body.get("ports")):
            name = text(port.get("name"))
            if name and not (len(name) <= 15 and _PORT_NAME.fullmatch(name)):
                message = f'"{name}" is no name for a port'
                yield Violation(f"{container.path}/ports/{index}/name", message)


def _bad_numbers(pod: PodTemplate) -> Iterator[Violation]:
    for container in pod.containers:
        for index, port in entries(container.body.get("ports")):
            number = port.get("containerPort")
            if number is None or (isinstance(number, int) and not 0 < number < 65536):
                message = f"containerPort is {'not set' if number is None else number}"
                yield Violation(f"{container.path}/ports/{index}", message)


def _bad_target_ports(service: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    del objects
    for index, port in entries(at(service.body, "spec", "ports")):
        target = port.get("targetPort")
        named = isinstance(target, str)
        if named and not (len(str(target)) <= 15 and _PORT_NAME.fullmatch(str(target))):
            message = f'"{target}" is no name of a port'
            yield Violation(f"/spec/ports/{index}/targetPort", message)


def _too_large(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    del objects
    size = sum(
        len(value.encode())
        for field in ("data", "binaryData", "stringData")
        for value in mapping(manifest.body.get(field)).values()
        if isinstance(value, str)
    )
    # What is base64 is a quarter smaller when it is stored.
    if size * 3 // 4 > _LARGEST:
        yield Violation("", f"the {manifest.ref.kind} holds {size:,} bytes")


def _deprecated(manifest: LoadedManifest, objects: ObjectSet) -> Iterator[Violation]:
    del objects
    better = _REPLACED.get((manifest.ref.api_version, manifest.ref.kind))
    if better is not None:
        message = f"{manifest.ref.api_version} {manifest.ref.kind} is deprecated; use {better}"
        yield Violation("/apiVersion", message)


def _labels(manifest: LoadedManifest) -> dict[str, JsonValue]:
    return mapping(at(manifest.body, "metadata", "labels"))


CHECKS = (
    each_pod(
        (LABELS_MISSING, _labels_missing),
        (LABEL_INVALID, _bad_pod_labels),
        (PORT_INVALID, _bad_ports),
        (PORT_NUMBER, _bad_numbers),
    ),
    each_object(
        _WORKLOADS,
        (COMMON_LABELS, _no_common_labels),
        (INSTANCE, _instance),
        (OWNER_MISSING, _no_owner),
        (EMAIL_MISSING, _no_email),
    ),
    each_object(frozenset({"Pod", "StatefulSet"}), (NAME_LABEL, _name_label)),
    each_object(frozenset({"Service"}), (PORT_INVALID, _bad_target_ports)),
    each_object(frozenset({"ConfigMap", "Secret"}), (TOO_LARGE, _too_large)),
    each_object(
        None, (LABEL_INVALID, _bad_labels), (NAME_INVALID, _bad_name), (DEPRECATED, _deprecated)
    ),
)
