"""What is sent for an object of which others own some fields."""

from pydantic import JsonValue

from pilothouse.gitops.plan import without_ignored
from pilothouse.models.names import FIELD_MANAGER
from pilothouse.models.objects import ObjectRef
from pilothouse.models.pipeline import IgnoreRule

REF = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="a")
REPLICAS = (IgnoreRule(pointers=("/spec/replicas",)),)
Body = dict[str, JsonValue]


def live(spec: JsonValue, **owners: JsonValue) -> Body:
    entries: JsonValue = [
        {"manager": manager.replace("_", "-"), "operation": "Update", "fieldsV1": fields}
        for manager, fields in owners.items()
    ]
    return {"metadata": {"managedFields": entries}, "spec": spec}


def test_a_field_of_another_manager_is_left_out() -> None:
    found = without_ignored(
        {"spec": {"replicas": 2, "paused": True}},
        live({"replicas": 7}, autoscaler={"f:spec": {"f:replicas": {}}}),
        REF,
        REPLICAS,
    )
    assert found == {"spec": {"paused": True}}


def test_a_field_that_is_ours_alone_keeps_its_live_value() -> None:
    found = live({"replicas": 7}, pilothouse={"f:spec": {"f:replicas": {}}})
    assert FIELD_MANAGER == "pilothouse"
    found = without_ignored({"spec": {"replicas": 2}}, found, REF, REPLICAS)
    assert found == {"spec": {"replicas": 7}}


def test_a_field_that_the_live_object_lacks_is_left_out() -> None:
    assert without_ignored({"spec": {"replicas": 2}}, live({}), REF, REPLICAS) == {"spec": {}}


def test_a_new_object_takes_every_field() -> None:
    body: Body = {"spec": {"replicas": 2}}
    assert without_ignored(body, None, REF, REPLICAS) is body


def test_a_rule_for_another_object_changes_nothing() -> None:
    body: Body = {"spec": {"replicas": 2}}
    rules = (IgnoreRule(name="b", pointers=("/spec/replicas",)),)
    assert without_ignored(body, live({"replicas": 7}), REF, rules) is body


def test_list_items_are_known_by_name_whatever_their_place() -> None:
    body: Body = {"spec": {"containers": [{"name": "api", "image": "a:1"}]}}
    containers: JsonValue = [{"name": "sidecar"}, {"name": "api", "image": "a:9"}]
    owned: JsonValue = {"f:spec": {"f:containers": {'k:{"name":"api"}': {"f:image": {}}}}}
    rules = (IgnoreRule(pointers=("/spec/containers/*/image",)),)
    theirs = without_ignored(body, live({"containers": containers}, updater=owned), REF, rules)
    assert theirs == {"spec": {"containers": [{"name": "api"}]}}
    nobodys = without_ignored(body, live({"containers": containers}), REF, rules)
    assert nobodys == {"spec": {"containers": [{"name": "api", "image": "a:9"}]}}


def test_an_item_of_a_set_that_another_manager_owns_is_left_out() -> None:
    body: Body = {"metadata": {"finalizers": ["a/b", "c/d"]}}
    owned: JsonValue = {"f:metadata": {"f:finalizers": {'v:"a/b"': {}}}}
    found = live({}, controller=owned)
    found["metadata"] = {**dict(found["metadata"]), "finalizers": ["a/b", "c/d"]}  # type: ignore[arg-type] # a map
    rules = (IgnoreRule(pointers=("/metadata/finalizers/0",)),)
    assert without_ignored(body, found, REF, rules) == {"metadata": {"finalizers": ["c/d"]}}
