"""Answers are kept under everything that they depend on, within bounds, and never half."""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

from pilothouse.clients import answer_cache
from pilothouse.clients.answer_cache import Answer, AnswerCache, key_of
from pilothouse.clients.environment import cache_dir
from pilothouse.clients.settings import read_settings

TODAY = date(2026, 11, 22)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "manifests"
    (root / "sub").mkdir(parents=True)
    (root / "a.yaml").write_text("kind: A\n")
    (root / "sub" / "values.txt").write_text("x")
    return root


def key(*words: object, today: date = TODAY) -> str:
    return key_of([str(word) for word in words], today=today)


def test_the_same_files_and_words_have_the_same_key(folder: Path) -> None:
    first = key("validate", folder, "--output", "json")
    assert len(first) == 64
    assert key("validate", folder, "--output", "json") == first


def test_a_copy_of_a_file_with_other_times_changes_nothing(folder: Path) -> None:
    before = key("validate", folder)
    os.utime(folder / "a.yaml", (1, 1))
    assert key("validate", folder) == before


def test_every_input_is_part_of_the_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [key("validate", folder)]
    keys.append(key("validate", folder, "--output", "json"))
    keys.append(key("validate", folder, today=date(2026, 11, 23)))
    (folder / "a.yaml").write_text("kind: B\n")
    keys.append(key("validate", folder))
    (folder / "sub" / "values.txt").write_text("y")
    keys.append(key("validate", folder))
    (folder / "sub" / "values.txt").rename(folder / "sub" / "other.txt")
    keys.append(key("validate", folder))
    monkeypatch.setenv("PILOTHOUSE_HELM", "/opt/helm")
    keys.append(key("validate", folder))
    monkeypatch.chdir(folder.parent)
    keys.append(key("validate", folder))
    assert len(set(keys)) == len(keys)


def test_what_moves_from_one_file_to_the_next_is_another_folder(folder: Path) -> None:
    (folder / "b.yaml").write_text("12")
    (folder / "c.yaml").write_text("3")
    before = key("validate", folder)
    (folder / "b.yaml").write_text("1")
    (folder / "c.yaml").write_text("23")
    assert key("validate", folder) != before


def test_one_file_is_covered_alone_but_a_kustomization_with_its_folder(folder: Path) -> None:
    kustomization = folder / "kustomization.yaml"
    kustomization.write_text("resources: [a.yaml]\n")
    one, whole = key("validate", folder / "a.yaml"), key("validate", kustomization)
    (folder / "new.yaml").write_text("kind: New\n")
    assert key("validate", folder / "a.yaml") == one
    assert key("validate", kustomization) != whole


@pytest.mark.parametrize("form", ["{path}", "--rules={path}", "-r{path}", "--rules {path}"])
def test_whatever_an_option_names_is_covered_too(form: str, folder: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "one.yaml").write_text("1")
    words = ["validate", folder, *form.format(path=rules).split()]
    before = key(*words)
    (rules / "one.yaml").write_text("2")
    assert key(*words) != before


def test_a_new_version_of_a_program_that_is_used_is_another_answer(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helm = tmp_path / "helm"
    helm.write_text("#!/bin/sh\n")
    helm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    before = key("validate", folder)
    helm.write_text("#!/bin/sh\n# newer\n")
    assert key("validate", folder) != before


def test_nothing_is_kept_for_what_cannot_be_read(tmp_path: Path) -> None:
    assert key("validate", tmp_path / "absent") == ""
    assert key("validate") == ""


def test_nothing_is_kept_for_a_folder_beyond_the_bound(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_cache, "_MOST_INPUT_BYTES", 5)
    assert key("validate", folder) == ""


def test_an_answer_comes_back_as_it_was(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "cache")
    assert cache.get("k") is None
    cache.put("k", Answer("two lines\n\u2713\n", 1))
    assert AnswerCache(tmp_path / "cache").get("k") == Answer("two lines\n\u2713\n", 1)


def test_a_damaged_entry_counts_as_none(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)
    cache.put("k", Answer("all is well\n", 0))
    entry = tmp_path / "k"
    entry.write_bytes(entry.read_bytes().replace(b"well", b"lost"))
    assert cache.get("k") is None


def test_an_unwritable_folder_keeps_nothing_and_breaks_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = AnswerCache(tmp_path / "file" / "cache")
    cache.put("k", Answer("", 0))
    assert cache.get("k") is None


def test_the_entry_that_was_not_used_for_longest_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_cache, "MOST_ENTRIES", 2)
    cache = AnswerCache(tmp_path)
    for number, name in enumerate(("used", "unused")):
        cache.put(name, Answer(name, 0))
        os.utime(tmp_path / name, (number, number))
    assert cache.get("used") == Answer("used", 0)
    cache.put("new", Answer("new", 0))
    assert {entry.name for entry in tmp_path.iterdir()} == {"used", "new"}


def test_all_entries_together_stay_within_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_cache, "MOST_BYTES", 3_000)
    cache = AnswerCache(tmp_path)
    for number in range(8):
        cache.put(f"k{number}", Answer("x" * 1_000, 0))
    assert sum(entry.stat().st_size for entry in tmp_path.iterdir()) <= 3_000


def test_several_writers_leave_whole_entries_and_no_remains(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: cache.put("k", Answer(f"{number}\n" * 500, 0)), range(40)))
    answer = cache.get("k")
    assert answer is not None
    assert len(set(answer.text.splitlines())) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["k"]


def test_entries_are_the_users_own_only(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "cache")
    cache.put("k", Answer("", 0))
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0
    assert (tmp_path / "cache" / "k").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "variables", [{}, {"XDG_CACHE_HOME": "/x"}, {"PILOTHOUSE_CACHE_DIR": "/p"}]
)
def test_the_folder_is_where_the_settings_say(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_CACHE_HOME", "PILOTHOUSE_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_dir() == read_settings().cache_dir
    monkeypatch.setenv("PILOTHOUSE_CACHE_DIR", "")
    assert cache_dir() == read_settings().cache_dir
