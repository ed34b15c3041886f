"""What a reviewer should not overlook, and what is no risk."""

from pathlib import Path
from typing import get_args

import pytest
from pydantic import JsonValue

from pilothouse.gitops.image_names import split_image
from pilothouse.gitops.plan import describe
from pilothouse.gitops.plan.images import is_older
from pilothouse.models.objects import Action, Manifest, ObjectRef, RiskKind

Body = dict[str, JsonValue]


def body(api_version: str, kind: str, namespace: str = "shop", **fields: JsonValue) -> Body:
    metadata: Body = {"name": "a", **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def risks(action: Action, live: Body | None, wanted: Body | None) -> list[tuple[str, str]]:
    manifest = Manifest(file="a.yaml", line=1, body=wanted) if wanted else None
    ref = Manifest(file="", line=1, body=wanted or live or {}).ref
    found = describe(action, ref, manifest=manifest, live=live)
    return [(risk.kind, risk.message) for risk in found.risks]


@pytest.mark.parametrize(
    ("api_version", "kind", "word"),
    [
        ("v1", "Namespace", "everything in it"),
        ("v1", "PersistentVolumeClaim", "data may go"),
        ("v1", "PersistentVolume", "data may go"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "every object of its kind"),
        ("v1", "ConfigMap", "is deleted"),
    ],
)
def test_a_delete_says_what_goes_with_the_object(api_version: str, kind: str, word: str) -> None:
    ref = ObjectRef(api_version=api_version, kind=kind, namespace="shop", name="a")
    (found,) = describe("delete", ref).risks
    assert found.kind == "delete"
    assert word in found.message


def test_a_recreate_is_a_risk() -> None:
    one = body("batch/v1", "Job")
    assert [kind for kind, _ in risks("recreate", one, one)] == ["recreate"]


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        (5, 2, ["replicas go from 5 to 2"]),
        (2, 0, ["replicas go from 2 to 0: nothing of it runs any more"]),
        (5, None, ["replicas go from 5 to 1"]),
        (2, 5, []),
        (None, 1, []),
        ("5", 1, []),
    ],
)
def test_fewer_replicas_are_a_risk(old: JsonValue, new: JsonValue, messages: list[str]) -> None:
    live, wanted = (
        body("apps/v1", "Deployment", spec={} if n is None else {"replicas": n}) for n in (old, new)
    )
    assert [message for _, message in risks("change", live, wanted)] == messages


def test_a_lower_bound_of_an_autoscaler_is_a_risk() -> None:
    live, wanted = (
        body("autoscaling/v2", "HorizontalPodAutoscaler", spec={"minReplicas": n, "maxReplicas": 9})
        for n in (3, 1)
    )
    assert risks("change", live, wanted) == [("replicas_down", "minReplicas go from 3 to 1")]


# -- images ---------------------------------------------------------------------------------------


def deployment(image: str) -> Body:
    pod: JsonValue = {"containers": [{"name": "api", "image": image}]}
    return body("apps/v1", "Deployment", spec={"template": {"spec": pod}})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("r/api:v1.10.0", "r/api:v1.9.0", "api: the image goes back from v1.10.0 to v1.9.0"),
        ("r/api:1@sha256:00", "r/api:2", "api: the image was pinned by digest and is now tag 2"),
        (
            "r/api@sha256:00",
            "r/api",
            "api: the image was pinned by digest and is now without a tag",
        ),
        ("r/api:v1.9.0", "r/api:v1.10.0", ""),
        ("r/api:v2", "other/api:v1", ""),
        ("r/api:main", "r/api:latest", ""),
        ("r/api:1", "r/api:1@sha256:00", ""),
    ],
)
def test_an_image_that_goes_back_is_a_risk(old: str, new: str, message: str) -> None:
    expected = [("image_downgrade", message)] if message else []
    assert risks("change", deployment(old), deployment(new)) == expected


@pytest.mark.parametrize(
    ("tag", "than", "older"),
    [
        ("1.2.0-rc.1", "1.2.0", True),
        ("1.2.0", "1.2.0-rc.1", False),
        ("1.2.0-rc.2", "1.2.0-rc.10", True),
        ("1.2.0-rc2", "1.2.0-rc10", True),
        ("1.2.0-alpine", "1.2.0", False),
        ("1.2.0-alpine", "1.3.0-alpine", True),
        ("1.2", "1.2.0", False),
        ("2024.10.1", "2024.9.30", False),
        ("1.2.0+build.1", "1.2.0+build.2", False),
        ("abc1234", "v1.0.0", False),
    ],
)
def test_tags_are_compared_as_semantic_versions(tag: str, than: str, older: bool) -> None:
    assert is_older(tag, than) is older


def test_an_image_reference_is_split_as_registries_do() -> None:
    assert split_image("registry:5000/a/b:v1@sha256:0") == ("registry:5000/a/b", "v1", "sha256:0")
    assert split_image("registry:5000/a/b") == ("registry:5000/a/b", "", "")


# -- rights ---------------------------------------------------------------------------------------

RBAC = "rbac.authorization.k8s.io/v1"


def role(*rules: JsonValue) -> Body:
    return body(RBAC, "Role", rules=list(rules))


def rule(verbs: list[JsonValue], resources: list[JsonValue], **more: JsonValue) -> JsonValue:
    return {"apiGroups": [""], "verbs": verbs, "resources": resources, **more}


def test_a_new_role_says_what_it_allows() -> None:
    assert risks("create", None, role(rule(["get"], ["secrets"]))) == [
        ("rbac", "allows get secrets")
    ]


@pytest.mark.parametrize(
    ("before", "after", "messages"),
    [
        (rule(["get"], ["pods"]), rule(["get", "list"], ["pods"]), ["newly allows list pods"]),
        (rule(["get"], ["pods"]), rule(["*"], ["pods"]), ["newly allows * pods"]),
        (
            rule(["get"], ["pods"], resourceNames=["a"]),
            rule(["get"], ["pods"]),
            ["newly allows get pods"],
        ),
        (rule(["*"], ["pods"]), rule(["get"], ["pods"]), []),
        (rule(["get", "list"], ["pods"]), rule(["list", "get"], ["pods"]), []),
        (
            rule(["get"], ["pods"]),
            rule(["get"], ["pods"], resourceNames=["a"]),
            [],
        ),
    ],
)
def test_a_role_is_a_risk_where_it_allows_more(
    before: JsonValue, after: JsonValue, messages: list[str]
) -> None:
    found = risks("change", role(before), role(after))
    assert found == [("rbac", message) for message in messages]


def binding(name: str, *subjects: str) -> Body:
    ref: JsonValue = {"kind": "ClusterRole", "name": name}
    people: JsonValue = [{"kind": "User", "name": subject} for subject in subjects]
    return body(RBAC, "RoleBinding", roleRef=ref, subjects=people)


def test_a_binding_names_who_newly_gets_the_role() -> None:
    found = risks("change", binding("edit", "ann"), binding("edit", "ann", "bob"))
    assert found == [("rbac", "gives ClusterRole/edit, to User/bob")]


def test_a_binding_to_another_role_names_everybody() -> None:
    found = risks("recreate", binding("view", "ann"), binding("cluster-admin", "ann"))
    everything = "gives ClusterRole/cluster-admin, which may do everything, to User/ann"
    assert ("rbac", everything) in found


def test_a_binding_that_loses_somebody_is_no_risk() -> None:
    assert risks("change", binding("edit", "ann", "bob"), binding("edit", "ann")) == []


# -- the whole cluster ----------------------------------------------------------------------------


def definition(*served: str) -> Body:
    versions: JsonValue = [{"name": name, "served": True} for name in served]
    spec: JsonValue = {"versions": versions}
    return body("apiextensions.k8s.io/v1", "CustomResourceDefinition", namespace="", spec=spec)


def test_a_definition_that_stops_serving_a_version_says_so() -> None:
    found = risks("change", definition("v1", "v1beta1"), definition("v1"))
    assert found == [
        ("crd", "changes the definition of a kind for the whole cluster"),
        ("crd", "version v1beta1 is no longer served: who asks for it finds nothing"),
        ("cluster_scoped", "belongs to the whole cluster"),
    ]


def test_what_belongs_to_a_namespace_is_not_of_the_whole_cluster() -> None:
    unplaced = body("v1", "ConfigMap", namespace="")
    assert risks("create", None, unplaced) == []
    assert risks("create", None, body("storage.k8s.io/v1", "StorageClass", namespace="")) == [
        ("cluster_scoped", "belongs to the whole cluster")
    ]


def test_taking_fields_names_who_loses_them() -> None:
    one = body("v1", "ConfigMap")
    manifest = Manifest(file="a.yaml", line=1, body=one)
    managers = ("kubectl-edit", "kubectl-edit", "kubectl-patch")
    found = describe("change", manifest.ref, manifest=manifest, live=one, takeover=managers)
    assert found.fields == ("/metadata/managedFields",)
    assert [risk.message for risk in found.risks] == [
        "takes fields from kubectl-edit, kubectl-patch"
    ]


def test_an_unchanged_object_has_no_risk() -> None:
    assert risks("unchanged", definition("v1"), definition("v1")) == []


def test_each_risk_is_documented() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "plan.md"
    text = page.read_text(encoding="utf-8")
    assert [kind for kind in get_args(RiskKind) if f"| `{kind}` |" not in text] == []
