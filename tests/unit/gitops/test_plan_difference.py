"""A difference leads from the live object to the wanted one, and masks what is secret."""

import base64
import copy
import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import JsonValue

from pilothouse.gitops.plan import MASK, assemble, between, describe, differences
from pilothouse.gitops.plan.comparison import Difference
from pilothouse.gitops.plan.drift import drift_of
from pilothouse.gitops.plan.equivalence import means_the_same
from pilothouse.gitops.plan.pointers import steps_of
from pilothouse.gitops.plan.report import plan_lines, review
from pilothouse.gitops.plan.report.drift import drift_lines, drift_markdown
from pilothouse.gitops.quantities import quantity
from pilothouse.models.objects import Bundle, Manifest, ObjectChange, digest_of
from pilothouse.models.pipeline import IgnoreRule

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text("ab/~ ", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["name", "a", "b/c", "~", "value"]), inner, max_size=3)
    ),
    max_leaves=20,
)
SECRET = "hunter2-Tr0ub4dor"


def manifest(kind: str, name: str = "a", /, **fields: JsonValue) -> Manifest:
    group = {"Deployment": "apps/v1"}.get(kind, "v1")
    body: dict[str, JsonValue] = {"apiVersion": group, "kind": kind, "metadata": {"name": name}}
    return Manifest(file="a.yaml", line=1, body={**body, **fields})


def change(live: Manifest, wanted: Manifest, ignore: tuple[IgnoreRule, ...] = ()) -> ObjectChange:
    return describe("change", wanted.ref, manifest=wanted, live=live.body, ignore=ignore)


def bundle(*manifests: Manifest) -> Bundle:
    return Bundle(
        environment="production", namespace="shop", policy=digest_of(b""), manifests=manifests
    )


def applied(live: JsonValue, found: list[Difference]) -> JsonValue:
    """What becomes of a value: the shallow differences first, removals from a list's end on."""
    result = {"": copy.deepcopy(live)}
    rank = {"remove": 0, "add": 1, "replace": 2}

    def order(difference: Difference) -> tuple[int, int, int]:
        steps = steps_of(difference.path)
        place = int(steps[-1]) if steps and steps[-1].isdigit() else 0
        return len(steps), rank[difference.kind], -place if difference.kind == "remove" else place

    for each in sorted(found, key=order):
        *way, last = ("", *steps_of(each.path))
        target: Any = result
        for step in way:
            target = target[int(step)] if isinstance(target, list) else target[step]
        if isinstance(target, list) and each.kind == "add":
            target.insert(int(last), each.after)
        elif isinstance(target, list):
            target[int(last) : int(last) + 1] = [] if each.kind == "remove" else [each.after]
        elif each.kind == "remove":
            del target[last]
        else:
            target[last] = each.after
    return result[""]


@given(JSON, JSON)
def test_the_differences_lead_from_live_to_wanted(live: JsonValue, wanted: JsonValue) -> None:
    one, other = {"kind": "Thing", "spec": live}, {"kind": "Thing", "spec": wanted}
    assert applied(one, list(differences(one, other))) == other


@given(JSON)
def test_what_is_equal_has_an_empty_description(value: JsonValue) -> None:
    one = manifest("Thing", spec=value)
    found = change(one, one)
    assert (found.fields, found.diff, found.risks) == ((), (), ())


def test_an_argument_put_first_is_one_addition() -> None:
    found = change(manifest("Thing", args=["b", "c"]), manifest("Thing", args=["a", "b", "c"]))
    assert [(each.kind, each.path, each.after) for each in found.diff] == [("add", "/args/0", "a")]


def test_list_items_are_titled_by_their_name() -> None:
    def deployment(image: str) -> Manifest:
        spec: JsonValue = {"containers": [{"name": "log"}, {"name": "api", "image": image}]}
        return manifest("Deployment", spec={"template": {"spec": spec}})

    (found,) = change(deployment("a:1"), deployment("a:2")).diff
    assert found.path == "/spec/template/spec/containers/1/image"
    assert found.title == "spec.template.spec.containers[api].image"


def test_at_most_twenty_fields_are_listed_and_all_are_in_the_diff() -> None:
    numbers: dict[str, JsonValue] = {f"n{i}": i for i in range(30)}
    found = change(manifest("Thing", spec={}), manifest("Thing", spec=numbers))
    assert (len(found.fields), len(found.diff)) == (20, 30)


def test_a_create_shows_what_git_says() -> None:
    wanted = manifest("ConfigMap", data={"a": "1"})
    server: dict[str, JsonValue] = {**wanted.body, "metadata": {"uid": "7"}, "status": {}}
    found = describe("create", wanted.ref, manifest=wanted, wanted=server)
    assert found.fields == ()
    assert [(each.path, each.after) for each in found.diff] == [("", wanted.body)]


# -- what means the same --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("0.1", "100m", True),
        (1, "1000m", True),
        ("1Gi", "1024Mi", True),
        ("1e3", "1k", True),
        ("1G", "1Gi", False),
        ("100m", "100M", False),
        ("", "0", False),
    ],
)
def test_quantities_are_compared_by_amount(one: JsonValue, other: JsonValue, same: bool) -> None:
    assert (quantity(one) == quantity(other)) is same
    assert means_the_same("/spec/resources/limits/cpu", one, other) is same


def test_a_text_that_looks_like_a_quantity_is_a_text_elsewhere() -> None:
    assert not means_the_same("/data/cpu", "0.1", "100m")


def test_without_a_cluster_the_spelling_of_a_quantity_or_port_is_no_change() -> None:
    def service(port: JsonValue, cpu: JsonValue) -> Manifest:
        spec: JsonValue = {"ports": [{"port": 80, "targetPort": port}], "requests": {"cpu": cpu}}
        return manifest("Service", spec=spec)

    plan = between(bundle(service(80, "0.1")), bundle(service("80", "100m")), "0" * 40)
    assert plan.counts == {"unchanged": 1}


# -- secrets --------------------------------------------------------------------------------------

NOISE = st.text("ab:=\n /", max_size=4)


def planted(value: str) -> st.SearchStrategy[Manifest]:
    """Objects that hold a secret, each in a place where it is known to be one."""
    encoded = base64.b64encode(value.encode()).decode()
    copied = json.dumps({"stringData": {"p": value}})
    last_applied = "kubectl.kubernetes.io/last-applied-configuration"
    variable: JsonValue = {"name": "DB_PASSWORD", "value": value}
    return st.sampled_from([
        manifest("Secret", stringData={"p": value}),
        manifest("Secret", data={"p": encoded}),
        manifest("Secret", metadata={"name": "a", "annotations": {last_applied: copied}}),
        manifest("Secret", metadata={"name": "a", "annotations": {"other/copy": value}}),
        manifest("Deployment", spec={"template": {"spec": {"containers": [{"env": [variable]}]}}}),
        manifest(
            "Deployment", spec={"containers": [{"name": "c", "env": [variable, {"name": "b"}]}]}
        ),
        manifest("ConfigMap", data={"app.conf": f"user=a\npassword={value}\nb=1"}),
        manifest("ConfigMap", data={"url": f"postgres://shop:{value}@db/shop"}),
        manifest("Thing", spec={"auth": {"apiKey": value}}),
        manifest("Thing", spec={"args": ["--verbose", f"--token={value}"]}),
    ])


def every_form(plan_changes: list[ObjectChange], *objects: Manifest) -> str:
    plan = assemble(bundle(*objects), "0" * 40, plan_changes)
    drift = drift_of(plan)
    return "\n".join([
        plan.model_dump_json(),
        *(line.text for line in plan_lines(plan)),
        review(plan),
        drift.model_dump_json(),
        *(line.text for line in drift_lines(drift)),
        drift_markdown(drift),
    ])


@given(st.data(), NOISE)
def test_no_form_of_a_plan_holds_a_planted_secret(data: st.DataObject, noise: str) -> None:
    wanted = data.draw(planted(SECRET))
    live = data.draw(planted(SECRET + "x") | st.just(manifest(wanted.ref.kind, spec=noise)))
    assume(live.ref.kind == wanted.ref.kind)
    pairs = [change(live, wanted), change(wanted, live)]
    pairs += [describe("create", wanted.ref, manifest=wanted), describe("delete", wanted.ref)]
    printed = every_form(pairs, wanted)
    for secret in (SECRET, base64.b64encode(SECRET.encode()).decode().rstrip("=")):
        assert secret[:-2] not in printed


def test_a_secret_says_which_keys_differ_and_nothing_more() -> None:
    live = manifest("Secret", data={"same": "YQ==", "other": "YQ==", "gone": "YQ=="})
    wanted = manifest("Secret", data={"same": "YQ==", "new": "YQ=="}, stringData={"other": "b"})
    found = change(live, wanted)
    assert [(each.kind, each.path, each.masked) for each in found.diff] == [
        ("add", "/data/new", True),
        ("replace", "/data/other", True),
        ("remove", "/data/gone", True),
    ]
    assert all(each.before is None and each.after is None for each in found.diff)


def test_string_data_that_says_what_data_says_is_no_difference() -> None:
    live = manifest("Secret", data={"p": base64.b64encode(b"word").decode()})
    assert change(live, manifest("Secret", stringData={"p": "word"})).diff == ()


def test_a_password_that_changes_inside_a_text_is_seen_and_not_shown() -> None:
    live = manifest("ConfigMap", data={"conf": "password=one\n"})
    (found,) = change(live, manifest("ConfigMap", data={"conf": "password=two\n"})).diff
    assert (found.masked, found.before, found.after) == (True, None, None)


def test_the_name_of_a_secret_is_not_a_secret() -> None:
    def pod(name: str) -> Manifest:
        return manifest("Pod", spec={"volumes": [{"name": "v", "secret": {"secretName": name}}]})

    (found,) = change(pod("one"), pod("two")).diff
    assert (found.before, found.after) == ("one", "two")


def test_a_variable_keeps_its_name_in_an_added_block() -> None:
    env: JsonValue = [{"name": "API_TOKEN", "value": SECRET}]
    (found,) = change(manifest("Pod", env=[]), manifest("Pod", env=env)).diff
    assert found.after == {"name": "API_TOKEN", "value": MASK}


# -- ignored fields -------------------------------------------------------------------------------


def test_an_ignored_field_is_no_difference_and_its_neighbour_is() -> None:
    rules = (IgnoreRule(kind="Deployment", group="apps", pointers=("/spec/replicas",)),)
    live, wanted = (manifest("Deployment", spec={"replicas": n, "paused": n > 1}) for n in (5, 1))
    found = change(live, wanted, rules)
    assert found.fields == ("/spec/paused",)
    assert found.risks == ()


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        (IgnoreRule(kind="Pod", pointers=("/spec",)), 1),
        (IgnoreRule(group="apps", pointers=("/spec",)), 1),
        (IgnoreRule(name="b", pointers=("/spec",)), 1),
        (IgnoreRule(group="", pointers=("/spec/*/image",)), 0),
        (IgnoreRule(pointers=("/spec/0",)), 0),
        (IgnoreRule(pointers=("/spec/1",)), 1),
    ],
)
def test_a_rule_fits_by_kind_group_name_and_place(rule: IgnoreRule, left: int) -> None:
    live, wanted = (manifest("Thing", spec=[{"image": image}]) for image in ("a", "b"))
    assert len(change(live, wanted, (rule,)).fields) == left


def test_a_block_that_holds_only_what_is_ignored_is_no_difference() -> None:
    rules = (IgnoreRule(pointers=("/metadata/annotations/by~1others",)),)
    wanted = manifest("Thing", metadata={"name": "a", "annotations": {"by/others": "1"}})
    assert change(manifest("Thing"), wanted, rules).fields == ()
