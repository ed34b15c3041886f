"""Exceptions by annotation: what they cover, until when, and what they cannot cover."""

from datetime import date

import pytest

from pilothouse.clients.schemas import built_in_schemas
from pilothouse.gitops.manifests.loader import load
from pilothouse.gitops.validation.checks import check
from pilothouse.gitops.validation.practice import ValidationPolicy
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.schemas import SchemaCheck
from pilothouse.models.findings import Finding

DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
  namespace: shop
  annotations: {OBJECT}
spec:
  replicas: REPLICAS
  selector: {matchLabels: {app: api}}
  template:
    metadata:
      labels: {app: api}
      annotations: {POD}
    spec:
      hostPID: true
      containers: [{name: api, image: "x:1"}]
"""
KEY = "exception.pilothouse.dev/"
LAST_DAY = date(2027, 3, 31)
SCHEMAS = SchemaCheck(built_in_schemas("1.36"))


def told(
    annotation: str = "",
    *,
    pod: str = "",
    today: date | None = LAST_DAY,
    replicas: str = "1",
    policy: ValidationPolicy | None = None,
) -> list[Finding]:
    text = DEPLOYMENT.replace("OBJECT", annotation).replace("POD", pod)
    loaded = load(text.replace("REPLICAS", replicas).encode(), "a.yaml")
    assert not loaded.findings
    policy = policy or ValidationPolicy(today=today)
    return check(loaded.manifests, SCHEMAS, policy=policy)


def of(findings: list[Finding], rule: str) -> list[tuple[str, str]]:
    return [(f.severity, f.message) for f in findings if f.rule == rule]


def granted(rule: str, until: str = "2027-03-31") -> str:
    return f'"{KEY}{rule}": "until {until}: the node agent needs it"'


def test_an_exception_turns_a_warning_into_a_note_with_its_reason() -> None:
    assert [severity for severity, _ in of(told(), "host-pid")] == ["warning"]
    [(severity, message)] = of(told(granted("host-pid")), "host-pid")
    assert severity == "info"
    assert message.startswith("excepted until 2027-03-31 (the node agent needs it): the pod ")


def test_it_covers_its_rule_and_no_other() -> None:
    before, after = told(), told(granted("host-pid"))
    assert [f for f in after if f.rule != "host-pid"] == [f for f in before if f.rule != "host-pid"]


def test_it_holds_through_its_last_day() -> None:
    day_after = date(2027, 4, 1)
    findings = told(granted("host-pid"), today=day_after)
    assert [severity for severity, _ in of(findings, "host-pid")] == ["warning"]
    [(severity, message)] = of(findings, "exception-expired")
    assert severity == "warning"
    assert "2027-03-31" in message
    assert of(told(granted("host-pid"), today=None), "exception-expired") == []


def test_on_the_pod_template_it_covers_what_is_below_it() -> None:
    assert [s for s, _ in of(told(pod=granted("host-pid")), "host-pid")] == ["info"]
    without = told(pod=granted("namespace-default"))
    assert of(without, "exception-invalid") == []


@pytest.mark.parametrize(
    ("annotation", "why"),
    [
        (granted("host-pidd"), "there is no rule"),
        (f'"{KEY}host-pid": "the node agent needs it"', "needs a last day and a reason"),
        (f'"{KEY}host-pid": "until 2027-03-31"', "needs a last day and a reason"),
        (f'"{KEY}host-pid": "until 2027-03-31:  "', "needs a last day and a reason"),
        (granted("host-pid", "2027-02-30"), "is not a day"),
        (granted("schema"), "cannot be excepted"),
        (granted("yaml-tab"), "cannot be excepted"),
        (granted("pod-security-host-namespaces"), "cannot be excepted"),
        (granted("exception-expired"), "cannot be excepted"),
    ],
)
def test_what_is_no_exception_is_said_and_has_no_effect(annotation: str, why: str) -> None:
    findings = told(annotation)
    [(severity, message)] = of(findings, "exception-invalid")
    assert severity == "warning"
    assert why in message
    assert [severity for severity, _ in of(findings, "host-pid")] == ["warning"]


def test_an_error_stays_an_error() -> None:
    exception = granted("volume-missing")
    text = DEPLOYMENT.replace("OBJECT", exception).replace("POD", "").replace("REPLICAS", "1")
    mounted = '{name: api, image: "x:1", volumeMounts: [{name: v, mountPath: /v}]}'
    text = text.replace('{name: api, image: "x:1"}', mounted)
    findings = check(load(text.encode(), "a.yaml").manifests, SCHEMAS)
    assert [severity for severity, _ in of(findings, "volume-missing")] == ["error"]
    [(_, message)] = of(findings, "exception-invalid")
    assert "it is an error" in message


def test_pod_security_stays_an_error() -> None:
    policy = ValidationPolicy(pod_security="baseline", today=LAST_DAY)
    findings = told(granted("pod-security-host-namespaces"), policy=policy)
    assert [s for s, _ in of(findings, "pod-security-host-namespaces")] == ["error"]


def test_an_own_rule_is_named_with_a_dot() -> None:
    own = Rule("policy/no-agents", "error", "", "", "")
    policy = ValidationPolicy(
        own_rules=(lambda objects: (own.finding(m, "no") for m in objects.manifests),),
        today=LAST_DAY,
    )
    assert [s for s, _ in of(told(policy=policy), own.id)] == ["error"]
    excepted = told(granted("policy.no-agents"), policy=policy)
    assert [s for s, _ in of(excepted, own.id)] == ["info"]


def test_a_finding_and_its_exception_have_their_lines() -> None:
    [invalid] = [f for f in told(granted("no-such-rule")) if f.rule == "exception-invalid"]
    assert (invalid.line, invalid.path) == (
        6,
        "/metadata/annotations/exception.pilothouse.dev~1no-such-rule",
    )
