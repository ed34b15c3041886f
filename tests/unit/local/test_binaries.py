import asyncio
import hashlib
import io
import json
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from pilothouse.local.controlplane import explain, find_control_plane
from pilothouse.local.controlplane.access import environment_manifests
from pilothouse.local.controlplane.build import MODULE, kubernetes_version
from pilothouse.local.controlplane.flags import Layout, Ports, arguments
from pilothouse.local.controlplane.pki import AUTHORITIES, LEAVES, create_pki
from pilothouse.local.controlplane.programs import PROGRAMS, this_platform
from pilothouse.local.controlplane.release import Releases, read_releases
from pilothouse.local.controlplane.users import create_tokens
from pilothouse.local.ports import free_ports
from pilothouse.models.errors import PermanentError

VERSION = "v1.36.3"
PROGRAM = f"#!/bin/sh\necho 'Kubernetes {VERSION}'\n"
FAKE_GO = """#!/bin/sh
echo "$GOTOOLCHAIN $CGO_ENABLED $*" >> "$(dirname "$0")/calls"
case "$1" in
version) echo "go version go{go} linux/amd64" ;;
list) printf 'fmt\\nos\\nexample.invalid/controlplane\\n' ;;
build)
  echo 'go: downloading k8s.io/api v0.36.3' >&2
  echo 'fmt' >&2
  {build}
  ;;
esac
"""
BUILD = """while [ "$1" != -o ]; do shift; done
  mkdir -p "$(dirname "$2")"
  printf '#!/bin/sh\\necho "Kubernetes v1.36.3"\\n' > "$2"
  chmod +x "$2"
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A Go module folder with the facts that we read from it."""
    folder = tmp_path / "module"
    folder.mkdir()
    (folder / "go.mod").write_text(
        f"module x\n\ngo 1.26.0\n\nrequire (\n\tk8s.io/kubernetes {VERSION}\n)\n", encoding="utf-8"
    )
    (folder / "go.sum").write_text("sums\n", encoding="utf-8")
    (folder / "main.go").write_text("package main\n", encoding="utf-8")
    return folder


@pytest.fixture
def no_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH without Go."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")


@pytest.fixture
def offline() -> Releases:
    """Releases at a place where nobody listens."""
    return releases_at(f"http://127.0.0.1:{free_ports(1)[0]}")


def releases_at(root: str, platforms: tuple[str, ...] | None = None) -> Releases:
    return Releases.model_validate({
        "platforms": platforms or (this_platform(),),
        "kubernetes": {
            "version": VERSION,
            "programs": PROGRAMS[1:],
            "url": f"{root}/{{version}}/{{os}}/{{arch}}/{{program}}",
            "checksum_url": f"{root}/{{version}}/{{os}}/{{arch}}/{{program}}.sha256",
        },
        "etcd": {
            "version": "v3.6.16",
            "url": f"{root}/etcd-{{version}}-{{os}}-{{arch}}.tar.gz",
            "checksum_url": f"{root}/SHA256SUMS",
        },
    })


def published() -> dict[str, bytes]:
    """What an official server has: path -> content."""
    files: dict[str, bytes] = {}
    for name in PROGRAMS[1:]:
        path = f"/{VERSION}/{this_platform()}/{name}"
        files[path] = PROGRAM.encode()
        files[f"{path}.sha256"] = hashlib.sha256(PROGRAM.encode()).hexdigest().encode()
    buffer = io.BytesIO()
    folder = f"etcd-v3.6.16-{this_platform().replace('/', '-')}"
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for file, content in (("README.md", b"read me"), ("etcd", b"#!/bin/sh\necho etcd\n")):
            member = tarfile.TarInfo(f"{folder}/{file}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    files[f"/{folder}.tar.gz"] = buffer.getvalue()
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    files["/SHA256SUMS"] = f"{'0' * 64}  other.tar.gz\n{digest}  {folder}.tar.gz\n".encode()
    return files


@contextmanager
def http_server(files: dict[str, bytes]) -> Iterator[tuple[str, list[str]]]:
    """Serve files on loopback; yields the root URL and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            content = files.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def add_program(folder: Path, name: str, text: str = PROGRAM) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def add_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, go: str = "1.26.8", build: str = BUILD
) -> Path:
    """Put a pretended Go on PATH; returns the file that lists its calls."""
    folder = tmp_path / "go-bin"
    add_program(folder, "go", FAKE_GO.replace("{go}", go).replace("{build}", build))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder / "calls"


def ignore(line: str) -> None:
    """Progress that a test does not look at."""


def refuse(line: str) -> None:
    raise AssertionError(f"nothing to tell, but: {line}")


async def test_a_named_folder_with_the_four_programs_wins_and_tells_its_version(
    tmp_path: Path,
) -> None:
    for name in PROGRAMS:
        add_program(tmp_path / "mine", name, PROGRAM.replace(VERSION, "v1.35.0"))
    found = await find_control_plane(
        directory=tmp_path / "mine", cache=tmp_path / "cache", progress=refuse
    )
    assert (found.version, found.source) == ("v1.35.0", "directory")
    assert found.command("etcd") == (str(tmp_path / "mine" / "etcd"),)
    assert not (tmp_path / "cache").exists()


async def test_a_named_folder_may_hold_the_one_multi_call_binary(tmp_path: Path) -> None:
    add_program(tmp_path / "mine", "controlplane")
    found = await find_control_plane(
        directory=tmp_path / "mine", cache=tmp_path / "cache", progress=refuse
    )
    assert found.command("kube-scheduler") == (
        str(tmp_path / "mine" / "controlplane"),
        "kube-scheduler",
    )


async def test_a_named_folder_that_lacks_a_program_is_refused_and_nothing_else_is_tried(
    tmp_path: Path, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = add_go(tmp_path, monkeypatch)
    add_program(tmp_path / "mine", "etcd")
    (tmp_path / "mine" / "kube-scheduler").write_text("not executable", encoding="utf-8")
    with pytest.raises(PermanentError) as raised:
        await find_control_plane(
            directory=tmp_path / "mine", cache=tmp_path, progress=refuse, module=module
        )
    expected = "lacks kube-apiserver, kube-controller-manager, kube-scheduler"
    assert expected in str(raised.value)
    assert not calls.exists()


async def test_a_program_for_another_machine_is_refused_with_what_it_said(tmp_path: Path) -> None:
    add_program(tmp_path / "mine", "controlplane", "#!/bin/sh\necho 'bad CPU type'; exit 126\n")
    with pytest.raises(PermanentError, match=r"exit code 126; .*\nbad CPU type"):
        await find_control_plane(directory=tmp_path / "mine", cache=tmp_path, progress=refuse)


async def test_the_cache_is_keyed_by_version_and_the_modules_content(
    tmp_path: Path, module: Path, offline: Releases, no_go: None
) -> None:
    content = b"".join((module / name).read_bytes() for name in ("go.mod", "go.sum", "main.go"))
    key = f"{VERSION}-{hashlib.sha256(content).hexdigest()[:12]}"
    add_program(tmp_path / "controlplane" / key, "controlplane")
    found = await find_control_plane(
        directory=None, cache=tmp_path, progress=refuse, module=module, releases=offline
    )
    assert (found.path.name, found.version, found.source) == (key, VERSION, "cache")

    (module / "main.go").write_text("package main // changed\n", encoding="utf-8")
    with pytest.raises(PermanentError):
        await find_control_plane(
            directory=None, cache=tmp_path, progress=ignore, module=module, releases=offline
        )


async def test_the_official_release_is_downloaded_once_and_checked(
    tmp_path: Path, module: Path, no_go: None
) -> None:
    lines: list[str] = []
    with http_server(published()) as (root, asked):
        found = await find_control_plane(
            directory=None,
            cache=tmp_path,
            progress=lines.append,
            module=module,
            releases=releases_at(root),
        )
        assert len(asked) == 8
        again = await find_control_plane(
            directory=None,
            cache=tmp_path,
            progress=refuse,
            module=module,
            releases=releases_at(root),
        )
        assert len(asked) == 8
    assert (found.source, again.source) == ("release", "cache")
    assert found.path == again.path == tmp_path / "controlplane" / f"{VERSION}-release"
    assert {path.name for path in found.path.iterdir()} == set(PROGRAMS)
    assert (found.path / "etcd").read_text(encoding="utf-8").endswith("echo etcd\n")
    assert all(path.stat().st_mode & 0o777 == 0o755 for path in found.path.iterdir())
    assert [line for line in lines if line.startswith("downloading kube-apiserver v1.36.3")]
    assert_only_whole_folders(tmp_path)


@pytest.mark.parametrize("spoiled", ["kube-scheduler", "etcd"])
async def test_a_wrong_checksum_stops_everything_and_keeps_nothing(
    tmp_path: Path, module: Path, monkeypatch: pytest.MonkeyPatch, spoiled: str
) -> None:
    calls = add_go(tmp_path, monkeypatch)
    files = published()
    for path in files:
        if path.rpartition("/")[2].startswith(spoiled) and not path.endswith(".sha256"):
            files[path] += b"spoiled"
    with (
        http_server(files) as (root, _),
        pytest.raises(PermanentError, match="does not have the published checksum"),
    ):
        await find_control_plane(
            directory=None,
            cache=tmp_path,
            progress=ignore,
            module=module,
            releases=releases_at(root),
        )
    assert_only_whole_folders(tmp_path, folders=0)
    assert not calls.exists()


async def test_without_network_the_release_is_skipped_at_once_and_go_builds(
    tmp_path: Path, module: Path, offline: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = add_go(tmp_path, monkeypatch)
    before = {path.name: path.read_bytes() for path in module.iterdir()}
    lines: list[str] = []
    started = time.monotonic()
    found = await find_control_plane(
        directory=None, cache=tmp_path, progress=lines.append, module=module, releases=offline
    )
    assert time.monotonic() - started < 10
    assert found.source == "build"
    assert found.command("etcd")[0].endswith("/controlplane")
    assert "official release: cannot reach 127.0.0.1 (ClientConnectorError)" in lines
    assert {path.name: path.read_bytes() for path in module.iterdir()} == before
    assert_only_whole_folders(tmp_path)
    build = next(
        line for line in calls.read_text(encoding="utf-8").splitlines() if " build " in line
    )
    assert build.startswith("local 0 build -v -trimpath -p 2 -mod=readonly -ldflags -s -w -X ")
    assert "-X k8s.io/component-base/version.gitVersion=v1.36.3 " in build
    assert "-X k8s.io/client-go/pkg/version.gitMinor=36 " in build


async def test_two_calls_at_once_build_once_and_the_second_says_that_it_waits(
    tmp_path: Path, module: Path, offline: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = add_go(tmp_path, monkeypatch, build="sleep 1; " + BUILD)
    lines: list[str] = []
    first, second = await asyncio.gather(*[
        find_control_plane(
            directory=None, cache=tmp_path, progress=lines.append, module=module, releases=offline
        )
        for _ in range(2)
    ])
    assert {first.source, second.source} == {"build", "cache"}
    assert first.path == second.path
    assert lines.count("another process prepares the control plane; waiting for it") == 1
    assert calls.read_text(encoding="utf-8").count(" build ") == 1


async def test_a_failed_build_quotes_its_log_and_leaves_no_folder(
    tmp_path: Path, module: Path, offline: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_go(tmp_path, monkeypatch, build="echo 'link: signal: killed' >&2; exit 1")
    with pytest.raises(PermanentError, match=r"go build ended with exit code 1; [^$]*killed"):
        await find_control_plane(
            directory=None, cache=tmp_path, progress=ignore, module=module, releases=offline
        )
    assert_only_whole_folders(tmp_path, folders=0)
    log = (tmp_path / "controlplane" / "build.log").read_text(encoding="utf-8")
    assert log.endswith("link: signal: killed\n")


async def test_a_build_of_another_version_is_not_kept(
    tmp_path: Path, module: Path, offline: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_go(tmp_path, monkeypatch, build=BUILD.replace("v1.36.3", "v0.0.0-master"))
    with pytest.raises(PermanentError, match="the build is not Kubernetes v1.36.3"):
        await find_control_plane(
            directory=None, cache=tmp_path, progress=ignore, module=module, releases=offline
        )
    assert_only_whole_folders(tmp_path, folders=0)


async def test_with_no_way_left_the_error_names_all_four(
    tmp_path: Path, module: Path, offline: Releases, no_go: None
) -> None:
    with pytest.raises(PermanentError) as raised:
        await find_control_plane(
            directory=None, cache=tmp_path, progress=ignore, module=module, releases=offline
        )
    message = str(raised.value)
    assert "(1) set PILOTHOUSE_CONTROL_PLANE_DIR" in message
    assert f"(2) copy the cache folder {tmp_path}" in message
    assert "(3) a connection to the official release (cannot reach 127.0.0.1" in message
    assert "(4) Go on PATH, to build it in about 6 minutes (no Go on PATH; 1.26.0" in message


@pytest.mark.parametrize("version", ["1.25.9", "1.9"])
async def test_a_go_that_is_too_old_is_no_way(
    tmp_path: Path,
    module: Path,
    offline: Releases,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
) -> None:
    add_go(tmp_path, monkeypatch, go=version)
    with pytest.raises(PermanentError, match=f"go{version} .*1.26.0 or later is needed"):
        await find_control_plane(
            directory=None, cache=tmp_path, progress=ignore, module=module, releases=offline
        )


async def test_explain_tells_the_ways_without_taking_one(
    tmp_path: Path, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = add_go(tmp_path, monkeypatch)
    with http_server(published()) as (root, asked):
        steps = await explain(
            directory=None, cache=tmp_path / "cache", module=module, releases=releases_at(root)
        )
    assert [(step.source, step.usable) for step in steps] == [
        ("directory", False),
        ("cache", False),
        ("release", None),
        ("build", True),
    ]
    assert asked == []
    assert not (tmp_path / "cache").exists()
    assert calls.read_text(encoding="utf-8") == "local 0 version\n"


async def test_explain_knows_where_nothing_is_published(
    tmp_path: Path, module: Path, no_go: None
) -> None:
    steps = await explain(
        directory=None,
        cache=tmp_path,
        module=module,
        releases=releases_at("http://127.0.0.1", platforms=("plan9/mips",)),
    )
    assert [step.usable for step in steps] == [False, False, False, False]
    assert steps[2].detail == f"no official server programs for {this_platform()}"


async def test_explain_of_a_named_folder_says_what_it_lacks(tmp_path: Path) -> None:
    (step,) = await explain(directory=tmp_path, cache=tmp_path)
    assert (step.source, step.usable) == ("directory", False)
    assert step.detail.endswith(
        "lacks etcd, kube-apiserver, kube-controller-manager, kube-scheduler"
    )


def test_the_shipped_release_list_fits_the_module() -> None:
    releases = read_releases()
    assert releases.kubernetes.version == kubernetes_version(MODULE)
    pinned = f"go.etcd.io/etcd/server/v3 {releases.etcd.version}\n"
    assert pinned in (MODULE / "go.mod").read_text(encoding="utf-8")
    assert {*releases.kubernetes.programs, "etcd"} == set(PROGRAMS)
    for origin in (releases.kubernetes, releases.etcd):
        for template in (origin.url, origin.checksum_url):
            assert origin.locate(template, "etcd").startswith("https://")


def test_no_program_is_given_a_secret_or_another_address_than_loopback(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    tokens = create_tokens(layout.tokens)
    create_pki(layout.pki.directory)
    for program in PROGRAMS:
        given = arguments(program, layout, Ports(1, 2, 3))
        listens = [item for item in given if item.startswith(("--listen-", "--bind-address"))]
        assert all("127.0.0.1" in item for item in listens)
        assert bool(listens) != ("--secure-port=0" in given)
        line = " ".join(given)
        assert not [token for token in tokens.values() if token.get_secret_value() in line]


def test_certificates_and_tokens_are_made_once(tmp_path: Path) -> None:
    pki = create_pki(tmp_path / "pki")
    tokens = create_tokens(tmp_path / "tokens.csv")
    before = {path.name: path.read_bytes() for path in pki.directory.iterdir()}
    assert len(before) == 2 * (len(AUTHORITIES) + len(LEAVES)) + 2
    assert create_pki(tmp_path / "pki") == pki
    assert {path.name: path.read_bytes() for path in pki.directory.iterdir()} == before
    assert create_tokens(tmp_path / "tokens.csv") == tokens
    assert len({token.get_secret_value() for token in tokens.values()}) == len(tokens) == 4


def test_the_shipped_rules_hold_no_wildcard_and_no_placeholder_once_filled_in() -> None:
    manifests = environment_manifests("shop-staging")
    text = json.dumps(manifests)
    assert "*" not in text
    assert "NAMESPACE" not in text
    role = next(manifest for manifest in manifests if manifest["kind"] == "Role")
    assert yaml.safe_load(json.dumps(role["metadata"]))["namespace"] == "shop-staging"


def assert_only_whole_folders(cache: Path, folders: int = 1) -> None:
    """No draft is left in the cache, whatever happened."""
    left = [path.name for path in (cache / "controlplane").iterdir() if path.is_dir()]
    assert len(left) == folders
    assert not [name for name in left if name.startswith(".")]
