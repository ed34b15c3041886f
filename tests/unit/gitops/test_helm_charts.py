"""Helm charts: what is looked at before Helm runs, and what becomes of what it writes."""

import gzip
import io
import tarfile
from collections.abc import Mapping

import pytest

from pilothouse.gitops.manifests.helm.archives import unpack
from pilothouse.gitops.manifests.helm.releases import Helm, Release
from pilothouse.gitops.manifests.helm.standalone import render_standalone
from pilothouse.gitops.manifests.render import Rendered, render
from pilothouse.gitops.pipeline_file import parse_pipeline
from pilothouse.models.errors import PermanentError

PIPELINE = """pipeline:
  agents: {deployer: {trigger: manual}}
  manifests: MANIFESTS
  environments:
    staging: {namespace: team-staging}
    production: {namespace: team, configs: configs/prod.yaml}
"""
CHART = b"apiVersion: v2\nname: shop\nversion: 1.0.0\n"
TEMPLATE = b"""{{- if .Values.on }}
apiVersion: v1
kind: Service
metadata: {name: a}
---
kind: Service
metadata: {name: b}
{{- end }}
"""
FILES = {
    "manifests/Chart.yaml": CHART,
    "manifests/values.yaml": b"on: true\n",
    "manifests/templates/services.yaml": TEMPLATE,
    "configs/base.yaml": b"image: {tag: '1', name: x}\nport: 80\n",
    "configs/staging.yaml": b"image: {tag: '2'}\nlimit: null\n",
    "configs/prod.yaml": b"image: {tag: '3'}\n",
    "secret.txt": b"not the chart's",
}
OUTPUT = b"""---
# Source: shop/templates/services.yaml
apiVersion: v1
kind: Service
metadata: {name: a}
---
# Source: shop/templates/services.yaml
apiVersion: v1
kind: Service
metadata: {name: b}
"""


class HelmDouble:
    """Answers with what it was given, and remembers what it was asked."""

    def __init__(self, first: bytes = OUTPUT, second: bytes | None = None) -> None:
        self.asked: list[Release] = []
        self._first, self._second = first, first if second is None else second

    def __call__(self, release: Release) -> tuple[bytes, bytes]:
        self.asked.append(release)
        return self._first, self._second


def never(*_: object) -> bytes:
    raise AssertionError("no program must run")


def rendered(
    files: Mapping[str, bytes],
    helm: Helm | None,
    environment: str = "staging",
    manifests: str = "manifests",
) -> Rendered:
    pipeline, findings = parse_pipeline(PIPELINE.replace("MANIFESTS", manifests).encode())
    assert pipeline is not None, findings
    return render(files, pipeline, environment, never, helm)


def places(result: Rendered) -> list[tuple[str, str, int]]:
    return [(str(m.ref), m.manifest.file, m.manifest.line) for m in result.manifests]


def rules(result: Rendered) -> list[str]:
    return [finding.rule for finding in result.findings]


def packed(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def packed_member(**fields: object) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("redis/x")
        for name, value in fields.items():
            setattr(member, name, value)
        archive.addfile(member)
    return buffer.getvalue()


def test_a_chart_gets_its_files_the_environments_values_and_its_namespace() -> None:
    helm = HelmDouble()
    result = rendered(FILES, helm)

    assert result.findings == ()
    (release,) = helm.asked
    assert (release.name, release.namespace) == ("shop", "team-staging")
    assert set(release.files) == {"Chart.yaml", "values.yaml", "templates/services.yaml"}
    assert release.values == {"image": {"tag": "2", "name": "x"}, "port": 80, "limit": None}
    rendered(FILES, helm, "production")
    assert helm.asked[1].values == {"image": {"tag": "3", "name": "x"}, "port": 80}


def test_each_object_stands_at_its_kind_in_the_template() -> None:
    assert places(rendered(FILES, HelmDouble())) == [
        ("Service/team-staging/a", "manifests/templates/services.yaml", 3),
        ("Service/team-staging/b", "manifests/templates/services.yaml", 6),
    ]


def test_double_braces_that_helm_writes_are_text() -> None:
    output = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: '{{port}}'}\n"
    result = rendered(FILES, HelmDouble(output))
    assert result.findings == ()
    assert result.manifests[0].body["data"] == {"a": "{{port}}"}


def test_without_helm_a_chart_is_an_error_that_says_what_to_install() -> None:
    (finding,) = rendered(FILES, None).findings
    assert (finding.rule, finding.severity, finding.file) == (
        "helm-missing",
        "error",
        "manifests/Chart.yaml",
    )
    assert "PILOTHOUSE_HELM" in finding.fix


def test_what_helm_says_is_a_finding() -> None:
    def helm(release: Release) -> tuple[bytes, bytes]:
        raise PermanentError("InvalidManifests", "nil pointer at shop/templates/x.yaml:3")

    (finding,) = rendered(FILES, helm).findings
    assert finding.rule == "helm"
    assert "templates/x.yaml:3" in finding.message


def test_the_environments_own_chart_wins_and_others_are_not_read() -> None:
    files = {
        f"manifests/staging/{path[10:]}": data
        for path, data in FILES.items()
        if path[:9] == "manifests"
    } | {"manifests/other.yaml": b"kind: [broken"}
    helm = HelmDouble()
    assert rendered(files, helm).findings == ()
    assert set(helm.asked[0].files) == {"Chart.yaml", "values.yaml", "templates/services.yaml"}


def test_charts_and_plain_files_of_one_folder_are_applied_together() -> None:
    plain = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {port: '{{port}}'}\n"
    files = {path.replace("manifests/", "manifests/shop/"): data for path, data in FILES.items()}
    files |= {"manifests/c.yaml": plain, "manifests/production/other.yaml": b"kind: [broken"}
    result = rendered(files, HelmDouble())
    assert result.findings == ()
    assert [m.ref.name for m in result.manifests] == ["c", "a", "b"]
    assert result.manifests[0].body["data"] == {"port": "80"}


def test_a_library_chart_has_no_objects_of_its_own() -> None:
    helm = HelmDouble()
    files = FILES | {"manifests/Chart.yaml": CHART + b"type: library\n"}
    assert rules(rendered(files, helm)) == ["empty-manifests"]
    assert helm.asked == []


# -- before Helm runs -----------------------------------------------------------------------------


def test_a_dependency_that_is_not_vendored_is_a_finding_with_its_line() -> None:
    chart = CHART + b"dependencies:\n- name: redis\n  repository: https://example.org\n"
    files = FILES | {"manifests/Chart.yaml": chart}
    helm = HelmDouble()
    (finding,) = rendered(files, helm).findings
    assert (finding.rule, finding.file, finding.line, finding.path) == (
        "helm-dependency-missing",
        "manifests/Chart.yaml",
        5,
        "/dependencies/0",
    )
    assert helm.asked == []

    own = {"Chart.yaml": b"name: redis\n", "templates/r.yaml": b"kind: Service"}
    as_folder = {f"manifests/charts/any/{path}": data for path, data in own.items()}
    as_archive = {
        "manifests/charts/redis-1.tgz": packed({f"redis/{path}": d for path, d in own.items()})
    }
    for vendored in (as_folder, as_archive):
        assert rendered(files | vendored, helm).findings == ()
    assert "charts/redis-1/templates/r.yaml" in helm.asked[1].files
    assert not any(path.endswith(".tgz") for path in helm.asked[1].files)


def test_old_charts_name_their_dependencies_in_a_file_of_its_own() -> None:
    requirements = {"manifests/requirements.yaml": b"dependencies: [{name: redis}]\n"}
    (finding,) = rendered(FILES | requirements, HelmDouble()).findings
    assert (finding.rule, finding.file) == (
        "helm-dependency-missing",
        "manifests/requirements.yaml",
    )


def test_an_object_of_a_packed_chart_stands_in_its_archive() -> None:
    archive = packed({"redis/Chart.yaml": b"name: redis\n"})
    output = OUTPUT.replace(b"shop/templates/services.yaml", b"shop/charts/redis/templates/r.yaml")
    files = FILES | {"manifests/charts/redis-1.2.tgz": archive}
    result = rendered(files, HelmDouble(output))
    assert places(result)[0][1:] == ("manifests/charts/redis-1.2.tgz", 1)


@pytest.mark.parametrize(
    "reference",
    ["file:///etc/hostname", "http://127.0.0.1:8080/x", "../other.json", "definitions.json#/a"],
)
def test_a_schema_that_reads_other_files_or_addresses_is_refused(reference: str) -> None:
    schema = f'{{"type": "object",\n "properties": {{"a": {{"$ref": "{reference}"}}}}}}'.encode()
    helm = HelmDouble()
    for path, file in (
        ("values.schema.json", "manifests/values.schema.json"),
        ("charts/sub/values.schema.json", "manifests/charts/sub/values.schema.json"),
    ):
        (finding,) = rendered(FILES | {f"manifests/{path}": schema}, helm).findings
        assert (finding.rule, finding.file, finding.line) == ("helm-remote", file, 2)
    inside = packed({"sub/Chart.yaml": b"name: sub\n", "sub/values.schema.json": schema})
    (finding,) = rendered(FILES | {"manifests/charts/sub-1.tgz": inside}, helm).findings
    assert (finding.rule, finding.line) == ("helm-remote", 2)
    assert helm.asked == []


def test_a_schema_that_refers_to_itself_is_fine() -> None:
    schema = b'{"$defs": {"a": {}}, "properties": {"x": {"$ref": "#/$defs/a"}}}'
    files = FILES | {"manifests/values.schema.json": schema}
    assert rendered(files, HelmDouble()).findings == ()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"no archive", "not gzip"),
        (gzip.compress(b"no tar" * 200), "cannot be unpacked"),
        (packed({"redis/../../../etc/x": b"x"}), "does not stand"),
        (packed({"/etc/passwd": b"x"}), "does not stand"),
        (packed({"loose": b"x"}), "does not stand"),
        (packed_member(type=tarfile.SYMTYPE, linkname="/etc/passwd"), "neither a file nor"),
        (packed_member(type=tarfile.LNKTYPE, linkname="../x"), "neither a file nor"),
        (packed_member(type=tarfile.CHRTYPE), "neither a file nor"),
        (gzip.compress(b"\0" * 64 * 1024 * 1024), "too large"),
        (packed({f"redis/{number}": b"" for number in range(5_001)}), "more than 5,000"),
    ],
    ids=range(10),
)
def test_an_archive_that_is_damaged_or_hostile_is_refused(data: bytes, words: str) -> None:
    helm = HelmDouble()
    (finding,) = rendered(FILES | {"manifests/charts/redis-1.tgz": data}, helm).findings
    assert (finding.rule, finding.file) == ("helm-archive", "manifests/charts/redis-1.tgz")
    assert words in finding.message
    assert helm.asked == []


def test_archives_inside_archives_are_unpacked_and_bounded() -> None:
    inner = packed({"inner/Chart.yaml": b"name: inner\n"})
    unpacked = unpack({"charts/outer.tgz": packed({"outer/charts/inner.tgz": inner})})
    assert unpacked.files == {"charts/outer/charts/inner/Chart.yaml": b"name: inner\n"}

    nested = b"x"
    for _ in range(60):
        nested = packed({"a/charts/a.tgz": nested})
    assert list(unpack({"charts/a.tgz": nested}).broken.values()) == [
        "too many archives in one chart"
    ]


@pytest.mark.parametrize("name", ["--post-renderer=x", "Shop", "a/b", "", "x" * 60, "a b"])
def test_a_chart_whose_name_cannot_be_a_release_is_refused(name: str) -> None:
    helm = HelmDouble()
    files = FILES | {"manifests/Chart.yaml": f"name: '{name}'\n".encode()}
    assert rules(rendered(files, helm)) == ["helm"]
    assert helm.asked == []


def test_two_shared_files_that_disagree_are_an_error_unless_the_environment_decides() -> None:
    files = FILES | {"configs/more.yaml": b"port: 81\nimage: {pull: Always}\n"}
    (finding,) = rendered(files, HelmDouble()).findings
    assert (finding.rule, finding.file) == ("value-ambiguous", "configs/more.yaml")
    decided = files | {"configs/staging.yaml": b"port: 82\n"}
    assert rendered(decided, HelmDouble()).findings == ()


# -- what Helm wrote ------------------------------------------------------------------------------


def test_two_renderings_that_differ_are_an_error_at_the_field_without_its_value() -> None:
    def secret(value: str) -> bytes:
        text = "# Source: shop/templates/services.yaml\napiVersion: v1\nkind: Secret\n"
        return (
            text + f"metadata: {{name: s}}\nstringData: {{a: x, pass/word: {value}}}\n"
        ).encode()

    (finding,) = rendered(FILES, HelmDouble(secret("one1"), secret("two2"))).findings
    assert (finding.rule, finding.severity, finding.path) == (
        "helm-not-deterministic",
        "error",
        "/stringData/pass~1word",
    )
    assert finding.file == "manifests/templates/services.yaml"
    assert "one1" not in finding.message


def test_another_number_of_objects_is_a_difference_too() -> None:
    half = OUTPUT[: OUTPUT.rindex(b"---")]
    assert rules(rendered(FILES, HelmDouble(OUTPUT, half))) == ["helm-not-deterministic"]


@pytest.mark.parametrize(
    ("template", "apart"),
    [
        (b"a: {{ now | date }}", True),
        (b"a: {{- ago .x -}}", True),
        (b"a: {{ .Values.date }} now", False),
        (b"a: {{ .Values.unknown }}", False),
    ],
)
def test_templates_that_read_the_clock_are_rendered_a_second_apart(
    template: bytes, apart: bool
) -> None:
    helm = HelmDouble()
    rendered(FILES | {"manifests/templates/x.yaml": template}, helm)
    assert helm.asked[0].apart is apart


def hook(events: str, name: str = "h") -> bytes:
    return (
        f"---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n"
        f"  annotations: {{helm.sh/hook: '{events}'}}\n"
    ).encode()


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ("test", []),
        ("test-success,test-failure", []),
        ("pre-install, pre-upgrade", ["warning"]),
        ("pre-delete", ["info"]),
        ("post-rollback", ["info"]),
    ],
)
def test_hooks_are_left_out_and_said_unless_they_are_tests(events: str, said: list[str]) -> None:
    result = rendered(FILES, HelmDouble(OUTPUT + hook(events), OUTPUT + hook(events, "other")))
    assert [m.ref.name for m in result.manifests] == ["a", "b"]
    assert [(f.rule, f.severity) for f in result.findings] == [("helm-hook", s) for s in said]


def test_a_definition_with_the_old_hook_is_an_ordinary_object() -> None:
    result = rendered(FILES, HelmDouble(OUTPUT + hook("crd-install")))
    assert result.findings == ()
    assert [m.ref.name for m in result.manifests] == ["a", "b", "h"]


# -- charts that nobody deploys -------------------------------------------------------------------


def test_a_chart_of_any_folder_is_rendered_with_its_own_values_and_blocks_nothing() -> None:
    helm = HelmDouble()
    loaded = render_standalone(FILES, "manifests", helm)
    assert [str(m.ref) for m in loaded.manifests] == ["Service/a", "Service/b"]
    assert helm.asked[0].values == {}

    unsteady = render_standalone(FILES, "manifests", HelmDouble(OUTPUT, b""))
    assert [f.severity for f in unsteady.findings] == ["warning"]
    (skipped,) = render_standalone(FILES, "manifests", None).findings
    assert (skipped.rule, skipped.severity, skipped.file) == (
        "helm-chart-skipped",
        "info",
        "manifests/",
    )


# -- the repository's root ------------------------------------------------------------------------


def test_the_root_may_be_the_manifest_folder_without_what_is_none() -> None:
    def config(name: str) -> bytes:
        return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n".encode()

    files = {
        "a.yaml": config("a"),
        "deploy/b.yaml": config("b"),
        "staging/c.yaml": config("c"),
        "production/d.yaml": config("d"),
        "pipeline.yaml": PIPELINE.encode(),
        "docker-compose.yml": b"services: &s {}\nx: *s\n",
        **{
            f"{folder}/x.yaml": config("no")
            for folder in (".github", "agents", "configs", "docs", "policies", "status")
        },
    }
    result = rendered(files, None, manifests=".")
    assert result.findings == ()
    assert [m.ref.name for m in result.manifests] == ["a", "b", "c"]


def test_the_root_may_be_a_chart() -> None:
    at_root = {path.removeprefix("manifests/"): data for path, data in FILES.items()}
    at_root |= {".git/config": b"x", ".helmignore": b"x", "docs/a.md": b"x"}
    helm = HelmDouble()
    assert rendered(at_root, helm, manifests=".").findings == ()
    assert set(helm.asked[0].files) == {
        ".helmignore",
        "Chart.yaml",
        "secret.txt",
        "templates/services.yaml",
        "values.yaml",
    }
