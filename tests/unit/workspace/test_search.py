"""Search: every passage says where it stands, and Secrets stand nowhere."""

from pilothouse.clients.git.reading import TreeFile
from pilothouse.workspace.search import SearchIndex
from pilothouse.workspace.snapshots import Heads, Placed, View, holds_secret


def placed(path: str, text: str, branch: str = "main") -> Placed:
    data = text.encode()
    return Placed(TreeFile(path, "100644", len(data), data), "a" * 40, branch)


def view(**files: str) -> View:
    named = {name.replace("__", "/").replace("_", "."): text for name, text in files.items()}
    return View(
        Heads("a" * 40, "b" * 40), {path: placed(path, text) for path, text in named.items()}
    )


def test_the_nearest_passage_comes_first_with_path_and_line() -> None:
    filler = "\n".join(f"line {number} says nothing" for number in range(40))
    files = view(
        docs__runbook_md=f"{filler}\nThe deployment failed: out of memory\n",
        docs__other_md="Deployments are done on weekdays",
    )
    [first, *_] = SearchIndex().search("ws-a", files, "which deployments failed?", limit=5)
    assert (first.path, first.start, first.citation) == (
        "/docs/runbook.md",
        41,
        "/docs/runbook.md:41",
    )
    assert first.end == 41
    assert first.text == "The deployment failed: out of memory"


def test_a_question_of_operators_and_quotes_is_only_words() -> None:
    files = view(a_md="near the column body")
    index = SearchIndex()
    for query in ('"', "NEAR(", "body:*", "a OR", "* ^ -", "') DROP TABLE passages; --", "", "the"):
        index.search("ws-a", files, query, limit=5)
    assert index.search("ws-a", files, 'column" OR path:x', limit=5)[0].path == "/a.md"


def test_credentials_are_masked_and_layout_stays() -> None:
    files = view(a_yaml="model:\n  password: canary-1\n  url: https://u:canary-2@example.com/\n")
    [hit] = SearchIndex().search("ws-a", files, "password model", limit=5)
    assert "canary" not in hit.text
    assert hit.text.startswith("model:\n  password: ")


def test_secrets_binaries_and_other_workspaces_are_not_found() -> None:
    index = SearchIndex()
    secret = view(s_yaml="kind: Secret\nstringData: {word: marker}", b_bin="marker\0")
    assert index.search("ws-a", secret, "marker", limit=5) == []
    assert index.search("ws-b", view(a_md="marker"), "marker", limit=5)
    assert index.search("ws-a", secret, "marker", limit=5) == []


def test_an_index_is_kept_for_each_pair_of_heads_and_old_ones_are_forgotten() -> None:
    index = SearchIndex()
    for number in range(8):
        files = view(a_md="marker")._replace(heads=Heads(f"{number}", ""))
        assert index.search("ws-a", files, "marker", limit=1)
    assert len(index._kept) == 4
    index.close()
    assert index._kept == {}


def test_a_secret_is_known_in_every_usual_form() -> None:
    for text in (
        "kind: Secret", "a: b\nkind: Secret # x", 'kind: "Secret"', '{\n  "kind": "Secret",\n',
        "x: 1\n---\nkind:   'Secret'\n", "- kind: Secret",
    ):  # fmt: skip
        assert holds_secret(placed("x.yaml", text).file), text
    for text in ("kind: SecretStore", "kind: Deployment", "# about kind: Secrets", "secretKind: a"):
        assert not holds_secret(placed("x.yaml", text).file), text
