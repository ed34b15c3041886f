"""What managedFields proves, and what it does not."""

from pydantic import JsonValue

from pilothouse.gitops.managed_fields import is_settled, leaves, union, without

PORT: JsonValue = {".": {}, "f:containerPort": {}}
FIELDS: dict[str, JsonValue] = {
    "f:metadata": {"f:labels": {"f:app": {}}},
    "f:spec": {
        "f:args": {},
        "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': PORT},
        "f:set": {'v:"a"': {}, 'v:"b"': {}},
    },
}


def live(**changes: JsonValue) -> dict[str, JsonValue]:
    entry: JsonValue = {
        "manager": "pilothouse", "operation": "Apply", "apiVersion": "v1", "fieldsV1": FIELDS,
    }  # fmt: skip
    spec: dict[str, JsonValue] = {
        "args": ["x"],
        "ports": [{"containerPort": 80, "protocol": "TCP"}],
        "set": ["a", "theirs", "b"],
        "defaulted": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Thing",
        "metadata": {"name": "t", "labels": {"app": "t", "other": "x"}, "managedFields": [entry]},
        "spec": {**spec, **changes},
    }


def wanted(**changes: JsonValue) -> dict[str, JsonValue]:
    spec: dict[str, JsonValue] = {
        "args": ["x"],
        "ports": [{"containerPort": 80}],
        "set": ["a", "b"],
    }
    metadata: JsonValue = {"name": "t", "labels": {"app": "t"}}
    return {"apiVersion": "v1", "kind": "Thing", "metadata": metadata, "spec": {**spec, **changes}}


def test_what_is_stated_and_held_is_settled_whatever_others_added() -> None:
    assert is_settled(wanted(), live())


def test_any_doubt_is_left_to_the_server() -> None:
    assert not is_settled(wanted(args=["y"]), live())
    assert not is_settled(wanted(set=["b", "a"]), live())
    assert not is_settled(wanted(more=1), live(more=1))
    assert not is_settled(wanted(ports=[{"containerPort": 80, "protocol": "UDP"}]), live())
    assert not is_settled(wanted(), live(args=["x", "y"]))
    assert not is_settled(wanted() | {"apiVersion": "v2"}, live() | {"apiVersion": "v2"})
    fewer = wanted()
    fewer["spec"] = {"args": ["x"]}
    # We still state what Git no longer has: an apply would remove it.
    assert not is_settled(fewer, live())
    nobodys = live()
    nobodys["metadata"] = {"name": "t", "labels": {"app": "t"}}
    assert not is_settled(wanted(), nobodys)


def test_a_null_that_became_false_is_no_empty_field() -> None:
    before = live()
    assert not is_settled(wanted(args=False), {**before, "spec": {**_spec(before)}})
    gone = {key: value for key, value in _spec(before).items() if key != "args"}
    # Known to be stored as nothing when it is empty; a flag is not.
    assert is_settled(wanted(args=[]), {**before, "spec": gone})
    assert not is_settled(wanted(args=False), {**before, "spec": gone})


def test_trees_are_joined_listed_and_cut_out() -> None:
    joined = union({"f:a": {"f:b": {}}}, {"f:a": {"f:c": {}}, "f:d": {}})
    assert set(leaves(joined)) == {("f:a", "f:b"), ("f:a", "f:c"), ("f:d",)}
    item = 'k:{"name":"x"}'
    whole: dict[str, JsonValue] = {"l": [{"name": "x", "v": 1}, {"name": "y"}], "s": ["a", "b"]}
    assert without(whole, [("f:l", item, "f:v"), ("f:s", 'v:"a"')]) == {
        "l": [{"name": "x"}, {"name": "y"}],
        "s": ["b"],
    }
    assert without(whole, [("f:l", item), ("f:nowhere", "f:x")])["l"] == [{"name": "y"}]


def _spec(whole: dict[str, JsonValue]) -> dict[str, JsonValue]:
    spec = whole["spec"]
    assert isinstance(spec, dict)
    return spec
