"""The record of what we own."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from pilothouse.gitops.inventory import (
    Inventory,
    fencing_of,
    from_config_map,
    is_inventory,
    key_of,
    run_digest,
    to_config_map,
)
from pilothouse.models.errors import PermanentError
from pilothouse.models.objects import ObjectRef

NAMES = st.sampled_from(["a", "b", "c", "d"])
REFS = st.builds(
    ObjectRef,
    api_version=st.sampled_from(["v1", "apps/v1", "apps/v1beta1"]),
    kind=st.sampled_from(["ConfigMap", "Deployment"]),
    namespace=st.sampled_from(["", "prod"]),
    name=NAMES,
)
INVENTORIES = st.builds(
    Inventory,
    environment=st.text(max_size=8),
    fencing=st.integers(min_value=0, max_value=2**40),
    operation=st.text(max_size=8),
    revision=st.text(max_size=8),
    plan=st.text(max_size=8),
    bundle=st.text(max_size=8),
    complete=st.booleans(),
    objects=st.lists(REFS, max_size=6).map(tuple),
    runs=st.lists(st.text(max_size=8), max_size=3).map(tuple),
)


def ref(name: str, version: str = "apps/v1") -> ObjectRef:
    return ObjectRef(api_version=version, kind="Deployment", namespace="prod", name=name)


@given(INVENTORIES)
def test_an_inventory_survives_the_config_map_that_keeps_it(inventory: Inventory) -> None:
    stored = json.loads(json.dumps(to_config_map(inventory, "prod", "inv")))
    assert from_config_map(stored) == inventory
    assert is_inventory(stored)
    del stored["data"]
    assert fencing_of(stored) == (inventory.fencing, inventory.operation)


def test_only_a_job_that_removes_itself_is_remembered_by_its_content() -> None:
    job: dict[str, JsonValue] = {"apiVersion": "batch/v1", "kind": "Job", "spec": {}}
    mortal: dict[str, JsonValue] = {**job, "spec": {"ttlSecondsAfterFinished": 0}}
    assert run_digest(job) == ""
    assert run_digest({**mortal, "kind": "Widget"}) == ""
    assert run_digest(mortal)
    assert run_digest(mortal) != run_digest({**mortal, "metadata": {"name": "other"}})


def test_what_left_git_is_deleted_last_applied_first() -> None:
    inventory = Inventory(objects=(ref("a"), ref("b"), ref("c")))
    assert inventory.without([ref("b")]) == (ref("c"), ref("a"))


def test_a_new_api_version_of_an_object_is_the_same_object() -> None:
    inventory = Inventory(objects=(ref("a", "apps/v1beta1"),))
    assert inventory.without([ref("a")]) == ()
    assert inventory.joined([ref("a")]) == (ref("a"),)


@given(st.lists(REFS, unique_by=key_of), st.lists(REFS, unique_by=key_of))
def test_the_union_of_old_and_new_loses_nothing_and_doubles_nothing(
    old: list[ObjectRef], new: list[ObjectRef]
) -> None:
    joined = [key_of(one) for one in Inventory(objects=tuple(old)).joined(new)]
    assert set(joined) == {key_of(one) for one in [*old, *new]}
    assert len(joined) == len(set(joined))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("metadata", "labels"), {}, "not ours"),
        (("metadata", "annotations"), {"pilothouse.dev/fencing": "-1"}, "not a number"),
        (("metadata", "annotations"), {"pilothouse.dev/fencing": "٣"}, "not a number"),
        (("data", "inventory.json"), "{", "not a list"),
        (("data", "inventory.json"), "5", "not a list"),
        (("data", "inventory.json"), '[{"kind": 1}]', "not a list"),
    ],
)
def test_a_damaged_inventory_is_refused_not_guessed(
    path: tuple[str, str], value: JsonValue, words: str
) -> None:
    live = json.loads(json.dumps(to_config_map(Inventory(fencing=3), "prod", "inv")))
    live[path[0]][path[1]] = value
    with pytest.raises(PermanentError, match=words) as caught:
        from_config_map(live)
    assert caught.value.type == "ClusterRefused"
