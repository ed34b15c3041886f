"""The content store: what comes out is what went in, or an error."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.clients.store import ContentStore
from pilothouse.models.errors import PermanentError
from pilothouse.models.objects import digest_of


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "store")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> ContentStore:
    return ContentStore(tmp_path_factory.mktemp("store"))


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@given(data=st.binary(max_size=200))
def test_bytes_come_back_by_their_digest(shared: ContentStore, data: bytes) -> None:
    digest = shared.put(data)
    assert digest == digest_of(data)
    assert shared.get(digest) == data


def test_the_same_bytes_are_stored_once(store: ContentStore, tmp_path: Path) -> None:
    assert store.put(b"x") == store.put(b"x")
    assert len(files(tmp_path)) == 1


def test_a_digest_that_is_not_stored_is_a_final_error_that_names_it(store: ContentStore) -> None:
    absent = digest_of(b"absent")
    with pytest.raises(PermanentError, match=absent) as missed:
        store.get(absent)
    assert missed.value.type == "StoreMiss"


@pytest.mark.parametrize("damage", [b"", b"y", b"x\0"])
def test_altered_bytes_are_an_error_until_they_are_put_again(
    store: ContentStore, tmp_path: Path, damage: bytes
) -> None:
    digest = store.put(b"x")
    (stored,) = files(tmp_path)
    stored.write_bytes(damage)
    with pytest.raises(PermanentError, match="were altered") as altered:
        store.get(digest)
    assert altered.value.type == "DigestMismatch"
    assert store.put(b"x") == digest
    assert store.get(digest) == b"x"


@pytest.mark.parametrize(
    "digest",
    ["", "sha256:", "sha256:ab", "sha256:../../etc/passwd", "/etc/passwd", "md5:" + "a" * 64],
)
def test_what_is_no_digest_reaches_no_file(
    store: ContentStore, tmp_path: Path, digest: str
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("root", encoding="utf-8")
    with pytest.raises(PermanentError, match="is no sha256 digest") as missed:
        store.get(digest)
    assert missed.value.type == "StoreMiss"


def test_many_writers_of_the_same_and_of_different_bytes_do_not_disturb_each_other(
    store: ContentStore, tmp_path: Path
) -> None:
    contents = [bytes([number]) * 50_000 for number in range(8)] * 8

    def put_and_get(data: bytes) -> bool:
        return store.get(store.put(data)) == data

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(put_and_get, contents))
    assert len(files(tmp_path)) == 8, "a temporary file was left behind"


def test_a_write_that_fails_leaves_nothing_behind(
    store: ContentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        store.put(b"x")
    assert files(tmp_path) == []


def test_only_our_user_may_look_inside(store: ContentStore, tmp_path: Path) -> None:
    store.put(b"x")
    for folder, _, _ in os.walk(tmp_path / "store"):
        assert Path(folder).stat().st_mode & 0o077 == 0
