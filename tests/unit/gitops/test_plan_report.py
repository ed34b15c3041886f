"""A plan for people: readable, bounded, and nothing in it can be markup or move the cursor."""

import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from pydantic import JsonValue

from pilothouse.gitops.plan import assemble, between, brief, describe
from pilothouse.gitops.plan.drift import drift_of
from pilothouse.gitops.plan.report import findings_lines, listing, object_lines, plan_lines, review
from pilothouse.gitops.plan.report.drift import drift_lines, drift_markdown
from pilothouse.gitops.plan.report.lines import lines_of
from pilothouse.gitops.plan.report.visible import visible
from pilothouse.gitops.reports import deployment_report
from pilothouse.models.findings import Finding
from pilothouse.models.objects import Bundle, FieldChange, Manifest, Plan, digest_of
from pilothouse.models.runs import DeploymentResult

MARKDOWN = MarkdownIt("commonmark", {"linkify": False}).enable(["table", "strikethrough"])
UNTRUSTED = st.lists(
    st.sampled_from([
        *"ab1.-=+*_`~|<>[](){}#!&\\:/'\" \n\r\t\0@",
        "\u202e", "\u2066", "\u200b", "\u2028", "\x1b[31m", "\x9b", "```", "~~~~", "\n---\n",
        "<script>", "@team", "https://evil.example", "![a](b)", "| --- |",
    ]),
    max_size=14,
).map("".join)  # fmt: skip
REVISION = "0" * 40


def manifest(name: str, /, kind: str = "ConfigMap", **fields: JsonValue) -> Manifest:
    body: dict[str, JsonValue] = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}
    return Manifest(file=f"{name}.yaml", line=3, body={**body, **fields})


def bundle(*manifests: Manifest) -> Bundle:
    return Bundle(
        environment="production", namespace="shop", policy=digest_of(b""), manifests=manifests
    )


def changed(before: JsonValue, after: JsonValue, title: str = "spec.a") -> list[str]:
    found = FieldChange(path="/spec/a", title=title, kind="replace", before=before, after=after)
    return [str(line) for line in lines_of(found)]


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        (1, 2, "~ spec.a  1 -> 2"),
        (1, "1", "~ spec.a  1 -> '1'"),
        (True, "true", "~ spec.a  true -> 'true'"),
        ("", "x", "~ spec.a  '' -> x"),
        (None, "null", "~ spec.a  null -> 'null'"),
        (["a"], "a", "~ spec.a  [a] -> a"),
        ("a\x1b[2J", "\u202eb", "~ spec.a  a\\x1b[2J -> \\u202eb"),
    ],
)
def test_a_value_looks_like_what_it_is(before: JsonValue, after: JsonValue, line: str) -> None:
    assert changed(before, after) == [line]


def test_an_image_shows_its_version_and_whose_it_is() -> None:
    assert changed("reg:5000/a:v1", "reg:5000/a:v2", "c[api].image") == [
        "~ c[api].image  v1 -> v2  (reg:5000/a)"
    ]
    assert changed("a:v1", "b:v1", "c[api].image") == ["~ c[api].image  a:v1 -> b:v1"]


def test_a_text_of_lines_is_a_unified_diff_with_three_lines_of_context() -> None:
    before = "\n".join(f"line {number}" for number in range(20))
    assert changed(before, before.replace("line 10", "changed")) == [
        "~ spec.a:",
        "@   @@ -8,7 +8,7 @@",
        *(f"    line {number}" for number in (7, 8, 9)),
        "-   line 10",
        "+   changed",
        *(f"    line {number}" for number in (11, 12, 13)),
    ]


def test_a_long_difference_is_cut_with_a_word_that_says_how_much() -> None:
    before, after = ("\n".join(f"{word} {n}" for n in range(300)) for word in ("old", "new"))
    lines = changed(before, after)
    assert len(lines) < 50
    assert lines[-1].endswith("more lines")


def test_a_big_added_block_is_cut_and_a_small_one_whole() -> None:
    def added(count: int) -> list[str]:
        value: JsonValue = {f"k{number}": number for number in range(count)}
        one = FieldChange(path="/a", title="a", kind="add", after=value)
        return [str(line) for line in lines_of(one)]

    assert added(2) == ["+ a:", "+   k0: 0", "+   k1: 1"]
    assert added(100)[-1] == "+   ... 60 more lines"


def test_things_in_another_order_are_named_and_not_repeated() -> None:
    one: JsonValue = [{"name": "a", "v": 1}, {"name": "b", "v": 1}]
    assert changed(one, [{"name": "b", "v": 1}, {"name": "a", "v": 2}]) == [
        "~ spec.a  order: a, b -> b, a",
        "~ spec.a[a].v  1 -> 2",
    ]


def test_a_masked_value_says_only_that_it_differs() -> None:
    found = FieldChange(path="/data/a", title="data.a", kind="replace", masked=True)
    assert [str(line) for line in lines_of(found)] == ["~ data.a  (masked), differs"]


# -- the whole ------------------------------------------------------------------------------------


def example() -> Plan:
    old = bundle(manifest("a", data={"k": "1"}), manifest("b"), manifest("gone"))
    return between(
        old, bundle(manifest("a", data={"k": "2"}), manifest("b"), manifest("c")), REVISION
    )


def test_a_plan_on_a_terminal_has_objects_differences_risks_and_the_sum() -> None:
    plan = example()
    assert [line.text for line in plan_lines(plan)] == [
        "~ change ConfigMap/a  a.yaml:3",
        "    ~ data.k  '1' -> '2'",
        "",
        "+ create ConfigMap/c  c.yaml:3",
        "    + apiVersion: v1",
        "    + kind: ConfigMap",
        "    + metadata:",
        "    +   name: c",
        "",
        "- delete ConfigMap/gone",
        "    ! delete: is deleted",
        "",
        f"plan {plan.digest[7:19]} for production: 1 to create, 1 to change, 1 to delete,"
        " 1 unchanged",
        "risks: delete (1)",
    ]


def test_a_review_begins_with_the_sum_and_the_risks() -> None:
    text = review(example())
    assert text.index("1 to delete") < text.index("Look at this first") < text.index("**change**")
    assert "delete: ConfigMap/gone: is deleted" in text


def test_a_review_keeps_to_its_size_and_says_what_was_cut() -> None:
    many = [manifest(f"c{n}", data={"k": "\u00e4" * 90}) for n in range(500)]
    plan = between(None, bundle(*many), REVISION)
    assert len(plan.review.encode()) <= 12 * 1024
    assert "**Cut here**" in plan.review
    assert plan.counts == {"create": 500}


def test_a_review_of_one_monstrous_object_keeps_to_its_size() -> None:
    long: JsonValue = {f"k{n}": "\u202e" * 5_000 for n in range(500)}
    plan = between(None, bundle(manifest("\u202e" * 200, data=long)), REVISION)
    assert len(plan.review.encode()) <= 12 * 1024


def test_what_travels_through_history_holds_no_value() -> None:
    many = [manifest(f"c{n}", data={"k": "value"}) for n in range(150)]
    travelling = brief(between(None, bundle(*many), REVISION))
    assert len(travelling.changes) == 100
    assert all(change.diff == () for change in travelling.changes)


def test_what_travels_through_history_is_small_whatever_the_names() -> None:
    paths: JsonValue = {f"{'k' * 300}{n}": "v" for n in range(30)}
    old = bundle(*(manifest(f"c{n}", data={}) for n in range(100)))
    plan = between(old, bundle(*(manifest(f"c{n}", data=paths) for n in range(100))), REVISION)
    assert 0 < len(brief(plan).changes) <= 100
    assert len(brief(plan).model_dump_json()) < 48 * 1024
    assert plan.counts == {"change": 100}


def tokens(text: str) -> Iterator[Token]:
    for token in MARKDOWN.parse(text):
        yield token
        yield from token.children or ()


@given(UNTRUSTED, UNTRUSTED, UNTRUSTED)
def test_what_others_wrote_is_code_on_every_page(name: str, key: str, value: str) -> None:
    live = manifest(name, data={key: value, "k": "a"})
    wanted = manifest(name, data={key + "x": value + "\nx", "k": value})
    found = Finding(rule="r", severity="error", file=value, line=1, object=name, message=key)
    changes = [
        describe("change", wanted.ref, manifest=wanted, live=live.body, takeover=(value,)),
        describe("create", wanted.ref, manifest=wanted),
    ]
    plan = assemble(bundle(wanted), REVISION, changes, findings=[found])
    drift = drift_of(plan)
    for page in (plan.review, drift_markdown(drift), listing(bundle(wanted))):
        kinds = {token.type for token in tokens(page)}
        assert kinds <= {
            "paragraph_open", "paragraph_close", "inline", "text", "softbreak", "fence",
            "code_inline", "strong_open", "strong_close",
        }  # fmt: skip
        # Outside of code stand our own words only.
        words = "".join(token.content for token in tokens(page) if token.type == "text")
        assert not set(words) & set("@<>[]|#\\/~")
    lines = [*plan_lines(plan), *drift_lines(drift), *object_lines(bundle(wanted))]
    printed = [line.text for line in lines] + list(findings_lines(plan.findings))
    for line in printed:
        assert all(unicodedata.category(character)[0] != "C" for character in line), line


def test_a_character_that_cannot_be_seen_is_written_out() -> None:
    assert visible("a\u202eb\x07\u2028\n\U000e0041") == "a\\u202eb\\x07\\u2028\\n\\U000e0041"
    assert visible("\u00e4\u4e2d -> \u2713") == "\u00e4\u4e2d -> \u2713"
    assert visible("x" * 300).endswith("(100 more characters)")


# -- drift ----------------------------------------------------------------------------------------


def test_drift_is_told_from_git_to_what_is_live() -> None:
    drift = drift_of(example())
    assert [line.text for line in drift_lines(drift)] == [
        "~ drifted ConfigMap/a  a.yaml:3",
        "    ~ data.k  '2' -> '1'",
        "- missing ConfigMap/c",
        "+ extra ConfigMap/gone",
        "1 drifted, 1 missing, 1 extra",
    ]
    assert not drift.clean


def test_an_object_that_may_not_be_read_is_not_called_drifted() -> None:
    one = manifest("a", kind="Secret")
    plan = assemble(bundle(one), REVISION, [describe("change", one.ref, manifest=one)])
    drift = drift_of(plan)
    assert (drift.drifted, drift.unreadable, drift.clean) == ((), (one.ref,), True)


def test_without_drift_one_line_says_so() -> None:
    one = manifest("a")
    plan = between(bundle(one), bundle(one), REVISION)
    (line,) = drift_lines(drift_of(plan))
    assert line.text == "no drift: the cluster matches Git"


# -- approval -------------------------------------------------------------------------------------


def test_an_approver_sees_the_risks_before_the_changes_and_a_refusal_once() -> None:
    refused = Finding(rule="r", severity="error", file="a.yaml", object="o", message="too large")
    old = bundle(manifest("a", data={"k": "1"}), manifest("gone"))
    plan = between(old, bundle(manifest("a", data={"k": "2"})), REVISION)
    plan = assemble(bundle(manifest("a")), REVISION, plan.changes, findings=[refused])
    result = DeploymentResult(
        deployment=f"deployment/git.example.org/shop/production/{REVISION}",
        outcome="failed",
        environment="production",
        revision=REVISION,
        plan=brief(plan),
    )
    text = deployment_report("approval", result, ())
    places = [text.index(part) for part in ("To approve", "Look at this first", "data.k  '1' -> ")]
    assert places == sorted(places)
    assert text.count("too large") == 1
    assert plan.digest[7:19] in text
