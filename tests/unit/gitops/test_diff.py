"""Which fields differ, as JSON pointers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from pilothouse.gitops.plan import LAST_APPLIED, changed_fields

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=15,
)


def spec(value: JsonValue) -> dict[str, JsonValue]:
    return {"kind": "Thing", "spec": value}


@pytest.mark.parametrize(
    ("live", "wanted", "pointers"),
    [
        ({"replicas": 1}, {"replicas": 2}, ["/spec/replicas"]),
        ({"a": 1}, {"b": 1}, ["/spec/b", "/spec/a"]),
        ({"a/b": {"c~d": 1}}, {"a/b": {"c~d": 2}}, ["/spec/a~1b/c~0d"]),
        ({"on": True}, {"on": 1}, ["/spec/on"]),
        ({"on": 1}, {"on": 1.0}, []),
        (["x", "y"], ["x", "z", "w"], ["/spec/1", "/spec/2"]),
        ({"a": None}, {"a": None}, []),
        ({"a": {}}, {"a": []}, ["/spec/a"]),
    ],
)
def test_each_difference_is_one_pointer(
    live: JsonValue, wanted: JsonValue, pointers: list[str]
) -> None:
    assert changed_fields(spec(live), spec(wanted)) == pointers


def test_a_container_put_first_is_one_difference_beside_its_order() -> None:
    live = spec([{"name": "api", "image": "a:1"}, {"name": "log", "image": "l:1"}])
    wanted = spec([
        {"name": "new"},
        {"name": "api", "image": "a:2"},
        {"name": "log", "image": "l:1"},
    ])
    assert changed_fields(live, wanted) == ["/spec/0", "/spec/1/image"]


def test_an_order_that_changed_is_a_difference_of_the_list() -> None:
    one: JsonValue = [{"name": "a"}, {"name": "b"}]
    other: JsonValue = [{"name": "b"}, {"name": "a"}]
    assert changed_fields(spec(one), spec(other)) == ["/spec"]


def test_a_named_thing_that_went_is_shown_at_its_old_place() -> None:
    live = spec([{"name": "a"}, {"name": "b"}])
    assert changed_fields(live, spec([{"name": "b"}])) == ["/spec/0"]


def test_things_with_one_name_twice_are_compared_by_place() -> None:
    live = spec([{"name": "a", "v": 1}, {"name": "a", "v": 2}])
    wanted = spec([{"name": "a", "v": 1}, {"name": "a", "v": 3}])
    assert changed_fields(live, wanted) == ["/spec/1/v"]


def test_what_the_server_writes_is_no_difference() -> None:
    live: dict[str, JsonValue] = {
        "kind": "Thing",
        "metadata": {
            "name": "a",
            "uid": "1",
            "resourceVersion": "7",
            "generation": 3,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [{"manager": "x"}],
            "annotations": {LAST_APPLIED: "{}"},
        },
        "status": {"ready": True},
    }
    assert changed_fields(live, {"kind": "Thing", "metadata": {"name": "a"}}) == []


def test_an_annotation_of_our_own_is_a_difference() -> None:
    live: dict[str, JsonValue] = {"metadata": {"annotations": {LAST_APPLIED: "{}"}}}
    wanted: dict[str, JsonValue] = {"metadata": {"annotations": {"team": "a"}}}
    assert changed_fields(live, wanted) == ["/metadata/annotations"]


@given(JSON)
def test_an_object_never_differs_from_itself(value: JsonValue) -> None:
    assert changed_fields(spec(value), spec(value)) == []


@given(JSON, JSON)
def test_objects_that_differ_have_a_pointer_both_ways(one: JsonValue, other: JsonValue) -> None:
    there, back = changed_fields(spec(one), spec(other)), changed_fields(spec(other), spec(one))
    assert bool(there) == bool(back)
    if one != other:
        assert there
