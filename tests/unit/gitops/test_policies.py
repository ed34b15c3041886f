"""Own rules in CEL: what they judge, what they say, and that none passes in silence."""

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from pilothouse.clients.schemas import built_in_schemas
from pilothouse.gitops.expressions import ExpressionError
from pilothouse.gitops.manifests.loader import load
from pilothouse.gitops.validation.object_set import ObjectSet
from pilothouse.gitops.validation.policies.expressions import Compiler
from pilothouse.gitops.validation.policies.loading import OwnRules, load_policies
from pilothouse.gitops.validation.policies.matching import plural
from pilothouse.gitops.validation.schemas import SchemaCheck
from pilothouse.models.findings import Finding

SCHEMAS = SchemaCheck(built_in_schemas())
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, namespace: here, labels: {team: shop}}
spec:
  replicas: 5
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: main, image: "shop:1"}]}
"""
NAMESPACE = """
apiVersion: v1
kind: Namespace
metadata: {name: here, labels: {tier: test}}
"""


def rule(**resource: Any) -> dict[str, Any]:
    usual = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"]}
    return usual | {"resources": ["deployments"]} | resource


def policy(expression: str = "object.spec.replicas <= 3", **spec: Any) -> str:
    constraints = {"resourceRules": [rule()]} | spec.pop("match", {})
    validations = spec.pop("validations", [{"expression": expression}])
    body = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "limit"},
        "spec": {"matchConstraints": constraints, "validations": validations} | spec,
    }
    return yaml.safe_dump(body)


def binding(**spec: Any) -> str:
    body = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "bound"},
        "spec": {"policyName": "limit", "validationActions": ["Deny"]} | spec,
    }
    return yaml.safe_dump(body)


def own(*documents: str) -> OwnRules:
    return load_policies({"policies/p.yaml": "---\n".join(documents).encode()}, "policies", SCHEMAS)


def judged(*documents: str, objects: str = DEPLOYMENT, namespace: str = "") -> list[Finding]:
    rules = own(*documents)
    assert not [f for f in rules.findings if f.severity == "error"]
    unit = ObjectSet(load(objects.encode(), "o.yaml").manifests, namespace=namespace)
    return [finding for check in rules.checks for finding in check(unit)]


def test_a_violation_names_the_rule_the_place_and_the_policy() -> None:
    (finding,) = judged(policy())
    assert (finding.rule, finding.severity) == ("policy/limit", "error")
    assert finding.message == "failed expression: object.spec.replicas <= 3"
    assert (finding.file, finding.line, finding.path) == ("o.yaml", 6, "/spec/replicas")
    assert finding.fix == "Keep the rule limit: see policies/p.yaml:17."


def test_an_object_that_keeps_the_rule_is_not_mentioned() -> None:
    assert judged(policy("object.spec.replicas <= 5")) == []


@pytest.mark.parametrize(
    ("match", "covered"),
    [
        ({"resourceRules": [rule(apiGroups=["*"], apiVersions=["*"], resources=["*"])]}, True),
        ({"resourceRules": [rule(resources=["deployments/*"])]}, True),
        ({"resourceRules": [rule(resources=["*/*"])]}, True),
        ({"resourceRules": [rule(resources=["deployments/scale"])]}, False),
        ({"resourceRules": [rule(resources=["statefulsets"])]}, False),
        ({"resourceRules": [rule(apiGroups=[""])]}, False),
        ({"resourceRules": [rule(operations=["*"])]}, True),
        ({"resourceRules": [rule(scope="Namespaced")]}, True),
        ({"resourceRules": [rule(scope="Cluster")]}, False),
        ({"resourceRules": [rule(resourceNames=["other"])]}, False),
        ({"resourceRules": [rule(apiVersions=["v2"])], "matchPolicy": "Exact"}, False),
        ({"resourceRules": [rule(apiVersions=["v2"])], "matchPolicy": "Equivalent"}, True),
        ({"excludeResourceRules": [rule()]}, False),
        ({"objectSelector": {"matchLabels": {"team": "shop"}}}, True),
        ({"objectSelector": {"matchLabels": {"team": "other"}}}, False),
        ({"namespaceSelector": {"matchLabels": {"tier": "test"}}}, True),
        ({"namespaceSelector": {"matchLabels": {"tier": "live"}}}, False),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "here"}}}, True),
    ],
)
def test_resource_rules_and_selectors_decide_what_is_judged(
    match: dict[str, Any], covered: bool
) -> None:
    found = judged(policy(match=match), objects=f"{DEPLOYMENT}---{NAMESPACE}")
    here = [f.rule for f in found if f.object == "Deployment/here/shop"]
    assert here == (["policy/limit"] if covered else [])


def test_custom_kinds_are_matched_by_the_plural_of_their_crd() -> None:
    crd = """
    apiVersion: apiextensions.k8s.io/v1
    kind: CustomResourceDefinition
    metadata: {name: mice.zoo.example}
    spec:
      group: zoo.example
      scope: Namespaced
      names: {kind: Mouse, plural: mice}
      versions: []
    ---
    apiVersion: zoo.example/v1
    kind: Mouse
    metadata: {name: m, namespace: here}
    """
    match = {"resourceRules": [rule(apiGroups=["zoo.example"], resources=["mice"])]}
    found = judged(policy("false", match=match), objects=textwrap.dedent(crd))
    assert [f.object for f in found] == ["Mouse/here/m"]


def test_plurals_of_built_in_kinds() -> None:
    kinds = ("Ingress", "NetworkPolicy", "Endpoints", "StorageClass", "Gateway", "Pod")
    assert [plural(kind) for kind in kinds] == [
        "ingresses", "networkpolicies", "endpoints", "storageclasses", "gateways", "pods",
    ]  # fmt: skip


def test_a_namespace_that_is_not_here_leaves_the_question_open() -> None:
    match = {"namespaceSelector": {"matchLabels": {"tier": "test"}}}
    assert [(f.rule, f.severity) for f in judged(policy(match=match))] == [
        ("policy-not-judged", "info")
    ]
    expression = "namespaceObject.metadata.labels.tier == 'test'"
    assert [f.rule for f in judged(policy(expression))] == ["policy-not-judged"]
    assert judged(policy(expression), objects=f"{DEPLOYMENT}---{NAMESPACE}") == []


def test_who_asks_is_not_known_and_said() -> None:
    found = judged(policy("request.userInfo.username == 'root'"))
    assert [(f.rule, f.severity) for f in found] == [("policy-not-judged", "info")]


def test_objects_without_a_namespace_are_judged_in_the_environments_own() -> None:
    objects = DEPLOYMENT.replace(", namespace: here", "")
    expression = "request.namespace == 'shop' && object.metadata.namespace == 'shop'"
    assert judged(policy(expression), objects=objects, namespace="shop") == []


def test_an_error_counts_as_the_failure_policy_says() -> None:
    closed = judged(policy("object.spec.nothing == 1"))
    assert [(f.rule, f.severity) for f in closed] == [("policy-error", "error")]
    assert closed[0].message.endswith("resulted in error: no such key: nothing")
    opened = judged(policy("object.spec.nothing == 1", failurePolicy="Ignore"))
    assert [(f.rule, f.severity) for f in opened] == [("policy-error", "warning")]


def test_a_false_condition_outweighs_one_that_fails() -> None:
    broken = {"name": "broken", "expression": "object.nothing"}
    broken["expression"] += " == 1"
    no = {"name": "no", "expression": "object.spec.replicas > 9"}
    assert judged(policy(matchConditions=[broken, no])) == []
    assert [f.rule for f in judged(policy(matchConditions=[broken]))] == ["policy-error"]


@pytest.mark.parametrize(
    ("actions", "severity"),
    [(["Deny"], "error"), (["Warn", "Audit"], "warning"), (["Audit"], "info")],
)
def test_a_bindings_actions_are_the_severity(actions: list[str], severity: str) -> None:
    assert [f.severity for f in judged(policy(), binding(validationActions=actions))] == [severity]


def test_a_binding_narrows_what_is_judged() -> None:
    narrow = {"objectSelector": {"matchLabels": {"team": "other"}}}
    assert judged(policy(), binding(matchResources=narrow)) == []


def test_parameters_come_from_the_folder_of_policies() -> None:
    parameter = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: most}\ndata: {replicas: '4'}\n"
    text = policy(
        "object.spec.replicas <= int(params.data.replicas)",
        paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
    )
    assert [f.rule for f in judged(text, parameter)] == ["policy/limit"]
    reference = {"name": "most", "parameterNotFoundAction": "Deny"}
    assert [f.rule for f in judged(text, binding(paramRef=reference), parameter)] == [
        "policy/limit"
    ]
    absent = binding(paramRef=reference | {"name": "absent"})
    assert [f.rule for f in judged(text, absent, parameter)] == ["policy-error"]
    allowed = binding(paramRef={"name": "absent", "parameterNotFoundAction": "Allow"})
    assert judged(text, allowed, parameter) == []
    assert [f.rule for f in own(text).findings] == ["policy-invalid"]


@pytest.mark.parametrize(
    ("text", "rules", "words"),
    [
        ("object.spec.replicas <=", ["policy-invalid"], "line 1:24"),
        ("authorizer.group('').check('x').allowed()", ["policy-invalid"], "without a cluster"),
        ("'a'.find('b') == 'b'", ["policy-invalid"], "use matches"),
        ("object.spec.replicas", ["policy-invalid"], "must evaluate to bool"),
        ("variables.nothing == 1", ["policy-invalid"], "undefined field 'nothing'"),
        ("x" * 10_001, ["policy-invalid"], "longer than"),
    ],
)
def test_what_cannot_be_compiled_is_one_finding_with_its_place(
    text: str, rules: list[str], words: str
) -> None:
    loaded = own(policy(text))
    assert [f.rule for f in loaded.findings] == rules
    assert words in loaded.findings[0].message
    assert loaded.findings[0].path == "/spec/validations/0/expression"
    assert loaded.findings[0].line
    assert loaded.checks == ()


def test_what_is_no_policy_does_not_look_like_one_that_is_kept() -> None:
    foreign = "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: x}\n"
    assert [f.rule for f in own(foreign).findings] == ["policy-invalid"]
    assert [f.rule for f in own(binding()).findings] == ["policy-invalid"]
    assert [f.rule for f in own(policy(failurePolicy="Never")).findings] == ["policy-invalid"]
    assert [f.rule for f in own(policy(failurePolicy=3)).findings] == ["schema"]
    silent = own(policy(), binding(validationActions=["Log"]))
    assert [f.rule for f in silent.findings] == ["policy-invalid"]
    assert [f.rule for f in own(policy(), policy()).findings] == ["duplicate-object"]
    late = own(policy(match={"resourceRules": [rule(operations=["DELETE"])]}))
    assert [f.rule for f in late.findings] == ["policy-not-judged"]


def test_an_expression_that_would_take_too_long_is_an_error() -> None:
    ten = "[0,1,2,3,4,5,6,7,8,9]"
    nested = "true"
    for name in "abcdef":
        nested = f"{ten}.all({name}, {nested})"
    (finding,) = judged(policy(nested))
    assert finding.rule == "policy-error"
    assert finding.message.endswith("it takes too long")


def test_variables_are_computed_on_demand_and_keep_their_types() -> None:
    compiler = Compiler()
    compiler.declare("missing", "object.nothing")
    compiler.declare("maybe", "object.?replicas")
    compiler.declare("amount", "quantity('1Gi')")
    compiler.declare("next", "variables.maybe.orValue(1) + 1")
    data = {"object": {"replicas": 4}}
    for text in (
        "variables.next == 5",
        "true || variables.missing == 1",
        "variables.amount.isLessThan(quantity('2Gi'))",
        "'variables.unknown' != '' // variables.unknown",
        r"r'\d' != '' && variables.next == 5",
        '"""variables.unknown""" != ""',
    ):
        assert compiler.compile(text).evaluate(data) is True
    with pytest.raises(ExpressionError, match='composited variable "missing" fails to evaluate'):
        compiler.compile("variables.missing == 1").evaluate(data)


@pytest.mark.parametrize(
    "text",
    [
        "quantity('1000m') == quantity('1')",
        "quantity('1').compareTo(quantity('2')) == -1",
        "quantity('1Gi').asInteger() == 1073741824",
        "quantity('100m').asApproximateFloat() == 0.1",
        "quantity('-1').sign() == -1",
        "quantity('2').sub(1) == quantity('1')",
        "!isQuantity('1GB')",
        "semver('1.0.0-rc.1').isLessThan(semver('1.0.0'))",
        "semver('1.10.0').isGreaterThan(semver('1.9.0'))",
        "!isSemver('v1')",
        "ip('::1').family() == 6",
        "!isIP('127.0.0.1%eth0') && !isIP('::ffff:1.2.3.4')",
        "ip.isCanonical('2001:db8::1') && !ip.isCanonical('2001:DB8::1')",
        "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')",
        "!cidr('10.0.0.0/8').containsCIDR(cidr('11.0.0.0/8'))",
        "cidr('10.1.0.0/8').masked() == cidr('10.0.0.0/8')",
        "!isCIDR('10.0.0.0')",
        "url('https://a.example:80/x?q=1&q=2').getQuery() == {'q': ['1', '2']}",
        "url('https://[::1]:80/').getHostname() == '::1'",
        "!isURL('a.example')",
        "[1, 2].sum() == 3 && [1, 2].min() == 1 && ['a', 'b'].isSorted()",
        "sets.equivalent([1, 1, 2], [2, 1]) && !sets.intersects([1], [2])",
        "!sets.contains([1], [true])",
    ],
)
def test_the_functions_of_kubernetes_are_there(text: str) -> None:
    assert Compiler().compile(text).evaluate({}) is True


@pytest.mark.parametrize(
    "text", ["quantity('x').sign() == 1", "[].max() == 1", "ip('x').family() == 4", "semver('1')"]
)
def test_functions_of_kubernetes_fail_in_words(text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Compiler().compile(text).evaluate({})
    assert str(caught.value)


def test_the_policies_that_the_documentation_shows_work() -> None:
    page = Path(__file__).parents[3] / "docs" / "how-to" / "write-your-own-rules.md"
    shown = re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    (finding,) = judged(*shown)
    assert (finding.rule, finding.severity) == ("policy/our-registry", "warning")
    assert finding.message == "not from our registry: shop:1"
    assert finding.path == "/spec/template/spec/containers"
