"""Image references, the images of objects, and digests in their place."""

import pytest

from pilothouse.gitops.manifests.images import (
    ImageReference,
    ImageReferenceError,
    Unresolved,
    images_of,
    parse_image,
    pinned,
    with_digests,
)
from pilothouse.gitops.manifests.loader import LoadedManifest, load

DIGEST = "sha256:" + "a" * 64
OBJECTS = b"""apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  template:
    metadata: {annotations: {example.org/image: team/note}}
    spec:
      initContainers: [{name: i, image: "team/init:1"}]
      containers:
      - name: a
        image: team/api:1
      - name: b
        image: registry.example.org/team/sidecar@sha256:DIGITS
      ephemeralContainers: [{name: e, image: team/debug}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: job}
spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: a, image: "team/api:1"}]}}}}}
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: custom}
spec: {template: {spec: {containers: [{name: a, image: team/custom}]}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {image: team/text, containers: "- image: team/text"}
""".replace(b"DIGITS", b"b" * 64)


def objects() -> tuple[LoadedManifest, ...]:
    loaded = load(OBJECTS, "manifests/a.yaml")
    assert loaded.findings == ()
    return loaded.manifests


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("nginx", ("docker.io", "library/nginx", "latest", "")),
        ("nginx:1.29", ("docker.io", "library/nginx", "1.29", "")),
        ("team/api", ("docker.io", "team/api", "latest", "")),
        ("docker.io/nginx", ("docker.io", "library/nginx", "latest", "")),
        ("localhost/api", ("localhost", "api", "latest", "")),
        ("localhost:5000/api:1", ("localhost:5000", "api", "1", "")),
        ("registry.example.org/a/b/c:v1", ("registry.example.org", "a/b/c", "v1", "")),
        ("[::1]:5000/api", ("[::1]:5000", "api", "latest", "")),
        (f"team/api@{DIGEST}", ("docker.io", "team/api", "", DIGEST)),
        (f"team/api:1@{DIGEST}", ("docker.io", "team/api", "1", DIGEST)),
    ],
)
def test_a_reference_is_read_with_the_defaults_of_its_grammar(
    text: str, reference: tuple[str, str, str, str]
) -> None:
    assert parse_image(text) == ImageReference(*reference)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":1",
        "nginx:",
        "Nginx",
        "team//api",
        "team/api:1:2",
        "team/api@sha256:short",
        "team/api@md5:abc",
        "http://registry.example.org/api",
        "user:password@registry.example.org/api",
        "registry.example.org/../api",
        "registry.example.org/a?b=c",
        "registry.example.org:99999999/api",
        "ex ample.org/api",
        "evil.example.org#/api",
        "{{ image }}",
        "a" * 600,
    ],
)
def test_what_is_no_reference_is_never_asked_for(text: str) -> None:
    with pytest.raises(ImageReferenceError):
        parse_image(text)


def test_the_images_of_pods_of_templates_and_of_custom_kinds_are_found() -> None:
    assert images_of(objects()) == {
        "team/init:1",
        "team/api:1",
        "registry.example.org/team/sidecar@sha256:" + "b" * 64,
        "team/debug",
        "team/custom",
    }


def test_each_tag_gets_its_digest_and_nothing_else_changes() -> None:
    asked: list[set[str]] = []

    def resolver(images: object) -> dict[str, str | Unresolved]:
        assert isinstance(images, set)
        asked.append(images)
        return dict.fromkeys(images, DIGEST)

    result = pinned(objects(), resolver)
    assert asked == [{"team/init:1", "team/api:1", "team/debug", "team/custom"}]
    assert result.findings == ()
    before, after = (
        [str(manifest.body) for manifest in manifests]
        for manifests in (objects(), result.manifests)
    )
    for image in sorted(asked[0]):
        before = [text.replace(f"'{image}'", f"'{image}@{DIGEST}'") for text in before]
    assert after == before
    assert images_of(result.manifests) == {f"{i}@{DIGEST}" for i in asked[0]} | {
        "registry.example.org/team/sidecar@sha256:" + "b" * 64
    }


def test_an_image_without_a_digest_is_an_error_at_its_place() -> None:
    answers = {"team/api:1": Unresolved("the registry has no such repository or tag")}
    result = with_digests(objects(), answers)
    assert [(f.rule, f.severity, f.line, f.path, f.object) for f in result.findings] == [
        (
            "image-unresolved",
            "error",
            11,
            "/spec/template/spec/containers/0/image",
            "Deployment/api",
        ),
        (
            "image-unresolved",
            "error",
            19,
            "/spec/jobTemplate/spec/template/spec/containers/0/image",
            "CronJob/job",
        ),
    ]
    assert result.findings[0].message == "team/api:1: the registry has no such repository or tag"
