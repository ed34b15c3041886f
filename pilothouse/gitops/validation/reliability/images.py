"""Which image a container gets: the tag, the digest, and when it is pulled."""

from collections.abc import Iterator

from pilothouse.gitops.image_names import split_image
from pilothouse.gitops.validation.object_set import Container, ObjectSet
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.shapes import text
from pilothouse.models.findings import Finding

TAG_MISSING = Rule(
    "image-tag-missing",
    "warning",
    "An image has no tag, or the tag latest",
    "Which version runs depends on when a node pulled it, and a rollback brings nothing back.",
    "Name a version, best with its digest.",
    {
        "polaris": ("tagNotSpecified",),
        "kube-linter": ("latest-tag",),
        "kube-score": ("container-image-tag",),
        "checkov": ("CKV_K8S_14",),
    },
)
IMAGE_MISSING = Rule(
    "image-missing",
    "error",
    "A container names no image",
    "The API server refuses the pod.",
    "Set image.",
    {
        "kube-score": ("container-image-tag",),
        "checkov": ("CKV_K8S_14", "CKV_K8S_15", "CKV_K8S_43"),
    },
)
DIGEST_MISSING = Rule(
    "image-digest-missing",
    "info",
    "An image is not named by its digest",
    "A tag can be moved to other content without a commit.",
    "Append `@sha256:...`, or set `resolve_images: true` for the environment.",
    {"checkov": ("CKV_K8S_43",)},
)
LATEST_NOT_PULLED = Rule(
    "image-latest-cached",
    "warning",
    "An image tagged latest is not always pulled",
    "Nodes go on with whatever they pulled first under that tag.",
    "Name a version, or set imagePullPolicy: Always.",
    {
        "kubescape": ("C-0075",),
        "polaris": ("pullPolicyNotAlways",),
        "kube-score": ("container-image-pull-policy",),
        "checkov": ("CKV_K8S_15",),
    },
)
PULL_POLICY = Rule(
    "image-pull-policy",
    "info",
    "An image is taken from the node's cache",
    "A node that has the image starts it without asking whether the pod may pull it.",
    "Set imagePullPolicy: Always where nodes are shared.",
    {
        "polaris": ("pullPolicyNotAlways",),
        "kube-score": ("container-image-pull-policy",),
        "checkov": ("CKV_K8S_15",),
    },
)
PULL_POLICY_IMPLICIT = Rule(
    "image-pull-policy-implicit",
    "info",
    "When an image is pulled is left to its tag",
    "A later change of the tag silently changes when the image is pulled.",
    "Set imagePullPolicy.",
    {"polaris": ("pullPolicyNotAlways",)},
)
DIGEST_IMPLICIT = Rule(
    "image-digest-pull-policy-implicit",
    "info",
    "Whether an image named by its digest is always pulled is left open",
    "A node that has the image starts it without asking whether the pod may pull it.",
    "Set imagePullPolicy: Always where nodes are shared, and IfNotPresent elsewhere.",
    {"polaris": ("pullPolicyNotAlways",), "kube-score": ("container-image-pull-policy",)},
)
DIGEST_CACHED = Rule(
    "image-digest-cached",
    "info",
    "An image named by its digest is taken from the node's cache",
    "It is the right content; but nobody asks whether the pod may pull it.",
    "Set imagePullPolicy: Always where nodes are shared.",
    {"kube-score": ("container-image-pull-policy",)},
)
RULES = (
    TAG_MISSING,
    IMAGE_MISSING,
    DIGEST_MISSING,
    LATEST_NOT_PULLED,
    PULL_POLICY,
    PULL_POLICY_IMPLICIT,
    DIGEST_IMPLICIT,
    DIGEST_CACHED,
)


def check_images(objects: ObjectSet) -> Iterator[Finding]:
    """Every container of every pod; ephemeral ones come and go by hand."""
    for pod in objects.pods:
        for container in pod.containers:
            if container.kind == "ephemeral":
                continue
            image, path = text(container.body.get("image")), f"{container.path}/image"
            if not container.body.get("image"):
                told = f'the container "{container.name}" names no image'
                yield IMAGE_MISSING.finding(pod.owner, told, path)
            if not image:
                continue
            _, tag, digest = split_image(image)
            if not digest:
                if tag in {"", "latest"}:
                    what = f'the tag "{tag}"' if tag else "no tag"
                    yield TAG_MISSING.finding(pod.owner, f'the image "{image}" has {what}', path)
                yield DIGEST_MISSING.finding(pod.owner, f'the image "{image}" has no digest', path)
            rule = _pull_rule(container, tag, digest)
            if rule is not None:
                policy = text(container.body.get("imagePullPolicy")) or "not set"
                message = f'the image "{image}": imagePullPolicy is {policy}'
                yield rule.finding(pod.owner, message, path)


def _pull_rule(container: Container, tag: str, digest: str) -> Rule | None:
    policy = text(container.body.get("imagePullPolicy"))
    if policy == "Always":
        return None
    if digest:
        return DIGEST_CACHED if policy else DIGEST_IMPLICIT
    if tag not in {"", "latest"}:
        return PULL_POLICY
    return LATEST_NOT_PULLED if policy else PULL_POLICY_IMPLICIT
