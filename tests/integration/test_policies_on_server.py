"""Own rules say what the API server says, with the same policies and the same objects."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import yaml
from kubernetes.aio import client, dynamic

from pilothouse.clients.schemas import built_in_schemas
from pilothouse.gitops.manifests.loader import load
from pilothouse.gitops.validation.object_set import ObjectSet
from pilothouse.gitops.validation.policies.loading import load_policies
from pilothouse.gitops.validation.schemas import SchemaCheck
from pilothouse.models.findings import Finding

Document = dict[str, Any]
CONTAINERS = "object.spec.template.spec.containers"
POLICIES: dict[str, Document] = {
    "replicas": {"validations": [{"expression": "object.spec.replicas <= 3"}]},
    "defaulted": {
        "validations": [
            {
                "expression": "object.spec.template.spec.dnsPolicy == 'ClusterFirst' && "
                f"{CONTAINERS}.all(c, c.imagePullPolicy == 'IfNotPresent')",
                "message": "an image is always pulled",
            }
        ]
    },
    "registry": {
        "validations": [
            {
                "expression": f"{CONTAINERS}.all(c, c.image.startsWith('registry.invalid/'))",
                "messageExpression": "'not from our registry: ' + "
                f"{CONTAINERS}.filter(c, !c.image.startsWith('registry.invalid/'))"
                ".map(c, c.image).join(', ')",
            }
        ]
    },
    "variables": {
        "variables": [
            {"name": "labels", "expression": "object.metadata.?labels.orValue({})"},
            {"name": "team", "expression": "variables.labels[?'team'].orValue('nobody')"},
        ],
        "validations": [
            {
                "expression": "variables.team in ['shop', 'billing']",
                "messageExpression": "'unknown team ' + variables.team",
            }
        ],
    },
    "missing-key": {"validations": [{"expression": "object.spec.paused == false"}]},
    "missing-variable": {
        "variables": [{"name": "owner", "expression": "object.metadata.labels.owner"}],
        "validations": [{"expression": "variables.owner == 'shop'"}],
    },
    "lazy": {
        "variables": [{"name": "broken", "expression": "object.spec.nothing"}],
        "validations": [
            {"expression": "true || variables.broken == 1"},
            {"expression": "object.metadata.name != 'forbidden'", "message": "  a bad name  "},
        ],
    },
    "ignored-error": {
        "failurePolicy": "Ignore",
        "validations": [{"expression": "object.spec.paused == false"}],
    },
    "condition": {
        "matchConditions": [
            {"name": "big", "expression": "object.spec.replicas > 2"},
        ],
        "validations": [{"expression": "has(object.metadata.annotations)", "message": "annotate"}],
    },
    "selector": {
        "select": {"matchLabels": {"team": "shop"}},
        "validations": [{"expression": "object.spec.replicas > 1", "message": "two for the shop"}],
    },
    "quantities": {
        "validations": [
            {
                "expression": f"{CONTAINERS}.all(c, !has(c.resources.limits) || "
                "quantity(c.resources.limits.memory).isLessThan(quantity('1Gi')))",
                "message": "too much memory",
            },
            {
                "expression": f"{CONTAINERS}.all(c, !has(c.resources.limits) || "
                "quantity(c.resources.requests.memory) == quantity(c.resources.limits.memory))",
                "message": "the request is not the limit",
            },
        ]
    },
    "request": {
        "validations": [
            {
                "expression": "request.kind.kind == 'Deployment' && request.operation == 'CREATE' "
                "&& request.resource.resource == 'deployments' && oldObject == null "
                "&& request.namespace == object.metadata.namespace && request.name != 'forbidden'",
                "messageExpression": "request.name + ' is refused'",
            }
        ]
    },
    "namespace": {
        "validations": [
            {
                "expression": "namespaceObject.metadata.labels['tier'] == 'test'",
                "message": "wrong tier",
            }
        ]
    },
    "library": {
        "validations": [
            {
                "expression": "[3, 1, 2].max() == 3 && sets.contains([1, 2], [1]) && "
                "cidr('10.0.0.0/8').containsIP('10.1.2.3') && semver('1.2.3').major() == 1 && "
                "url('https://a.example:8443/x').getPort() == '8443' && isQuantity('1Gi') && "
                "quantity('1').add(quantity('500m')) == quantity('1.5') && "
                "!isIP('10.0.0.256') && ip('::1').isLoopback()",
                "message": "the library differs",
            },
            {
                "expression": "quantity(object.spec.template.metadata.labels.app).isInteger()",
            },
        ]
    },
    "wrong-type": {"validations": [{"expression": "object.spec.replicas < 'three'"}]},
    "several": {
        "validations": [
            {"expression": "object.spec.replicas > 2", "message": "first"},
            {"expression": "object.spec.replicas > 1", "message": "second"},
        ]
    },
}
REFUSED: dict[str, str] = {
    "syntax": "object.spec.replicas <=",
    "no-truth": "object.spec.replicas",
    "undeclared": "subject.spec.replicas > 1",
    "not-in-kubernetes": "math.greatest(1, 2) == 2",
    "bindings": "cel.bind(x, 1, x == 1)",
    "unknown-variable": "variables.nothing == 1",
    "opaque": "quantity('1') == '1'",
}


def deployment(name: str, replicas: int | None = None, **changes: Any) -> Document:
    labels: Document = changes.get("labels", {})
    container = {"name": "api", "image": "registry.invalid/api:1"} | changes.get("container", {})
    spec: Document = {
        "selector": {"matchLabels": {"app": "x"}},
        "template": {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [container]}},
    }
    if replicas is not None:
        spec["replicas"] = replicas
    metadata: Document = {"name": name}
    metadata |= {"labels": labels} if labels else {}
    metadata |= {"annotations": changes["annotations"]} if "annotations" in changes else {}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


OBJECTS = [
    deployment("plain"),
    deployment("forbidden", 5),
    deployment("shop", 1, labels={"team": "shop", "owner": "shop"}),
    deployment("big", 3, annotations={"a": "b"}, container={"image": "other.invalid/api:latest"}),
    deployment(
        "hungry",
        2,
        labels={"team": "billing"},
        container={"resources": {"limits": {"memory": "2Gi"}, "requests": {"memory": "1Gi"}}},
    ),
    deployment("equal", 2, container={"resources": {"limits": {"memory": "0.5Gi"}}}),
]
SENTINEL = deployment("sentinel", 3, labels={"team": "shop"})
"""Every policy refuses it, so that a refusal shows that the policy counts."""
NO_SENTINEL: Document = {"expression": "object.metadata.name != 'sentinel'", "message": "it is"}


def policy(name: str, namespace: str) -> Document:
    spec = {key: value for key, value in POLICIES[name].items() if key != "select"}
    spec["validations"] = [*spec["validations"], NO_SENTINEL]
    constraints: Document = {
        "resourceRules": [
            {
                "apiGroups": ["apps"],
                "apiVersions": ["v1"],
                "operations": ["CREATE", "UPDATE"],
                "resources": ["deployments"],
            }
        ],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
    }
    if "select" in POLICIES[name]:
        constraints["objectSelector"] = POLICIES[name]["select"]
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": f"{name}.{namespace}"},
        "spec": {"failurePolicy": "Fail", "matchConstraints": constraints} | spec,
    }


def binding(name: str) -> Document:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }


def ours(policies: list[Document], objects: list[Document]) -> list[Finding]:
    schemas = SchemaCheck(built_in_schemas())
    own = load_policies({"p.yaml": yaml.safe_dump_all(policies).encode()}, "", schemas)
    assert not own.findings
    manifests = load(yaml.safe_dump_all(objects).encode(), "o.yaml").manifests
    found: Iterator[Finding] = (f for check in own.checks for f in check(ObjectSet(manifests)))
    return list(found)


async def answer(api: dynamic.DynamicClient, body: Document, namespace: str) -> str:
    """What the API server says to a dry run; empty if it takes the object."""
    deployments = await api.resources.get(api_version="apps/v1", kind="Deployment")
    try:
        await api.create(deployments, body=body, namespace=namespace, dry_run="All")
    except client.ApiException as error:
        return str(yaml.safe_load(error.body)["message"])
    return ""


@pytest.fixture
async def labelled(admin: client.ApiClient, namespace: str) -> Document:
    """The test's namespace, with a label of its own, as a manifest."""
    core = client.CoreV1Api(admin)
    await core.patch_namespace(namespace, {"metadata": {"labels": {"tier": "test"}}})
    labels = {"tier": "test"}
    metadata = {"name": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


@pytest.mark.parametrize("name", POLICIES)
async def test_a_policy_judges_as_the_server_does(
    admin: client.ApiClient, labelled: Document, name: str
) -> None:
    namespace = labelled["metadata"]["name"]
    document = policy(name, namespace)
    full_name = document["metadata"]["name"]
    registry = client.AdmissionregistrationV1Api(admin)
    await registry.create_validating_admission_policy(document)
    await registry.create_validating_admission_policy_binding(binding(full_name))
    try:
        await _judged_alike(await dynamic.DynamicClient(admin), document, labelled)
    finally:
        await registry.delete_validating_admission_policy_binding(full_name)
        await registry.delete_validating_admission_policy(full_name)


async def _judged_alike(
    api: dynamic.DynamicClient, document: Document, namespace: Document
) -> None:
    where = namespace["metadata"]["name"]
    here = [body | {"metadata": {"namespace": where} | body["metadata"]} for body in OBJECTS]
    findings = ours([document], [namespace, *here])
    expected = {
        body["metadata"]["name"]: [
            f.message
            for f in findings
            if f.severity == "error" and f.object.endswith(f"/{body['metadata']['name']}")
        ]
        for body in here
    }
    async with asyncio.timeout(20):
        # The server takes new policies into account a moment later.
        while not await answer(api, SENTINEL, where):
            await asyncio.sleep(0.05)
    said = {body["metadata"]["name"]: await answer(api, body, where) for body in here}
    assert {name: bool(text) for name, text in said.items()} == {
        name: bool(messages) for name, messages in expected.items()
    }
    for name, text in said.items():
        if text:
            assert text.rpartition("denied request: ")[2] == expected[name][0]


@pytest.mark.parametrize("name", REFUSED)
async def test_what_the_server_does_not_compile_is_invalid_here_too(
    admin: client.ApiClient, name: str
) -> None:
    document = policy("replicas", "default")
    document["metadata"]["name"] = f"{name}.{uuid4().hex[:8]}"
    document["spec"]["validations"] = [{"expression": REFUSED[name]}]
    registry = client.AdmissionregistrationV1Api(admin)
    with pytest.raises(client.ApiException) as caught:
        await registry.create_validating_admission_policy(document, dry_run="All")
    assert caught.value.status == 422
    own = load_policies(
        {"p.yaml": yaml.safe_dump(document).encode()}, "", SchemaCheck(built_in_schemas())
    )
    assert [f.rule for f in own.findings] == ["policy-invalid"]
    assert own.checks == ()
