"""What Git's complaints mean, and what of them may be repeated."""

import pytest

from pilothouse.clients.git.failures import (
    MAX_WORDS,
    Meaning,
    Scrubber,
    is_damaged,
    lacks_object,
    meaning_of,
    network_error,
)
from pilothouse.clients.git.process import Finished
from pilothouse.models.errors import PermanentError, TemporaryError

URL = "https://git.example.com/acme/shop.git"


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (f"fatal: Authentication failed for '{URL}/'", "refused"),
        ("fatal: could not read Username for 'https://x': terminal prompts disabled", "refused"),
        (f"fatal: unable to access '{URL}/': The requested URL returned error: 403", "refused"),
        ("git@github.com: Permission denied (publickey).", "refused"),
        ("Host key verification failed.", "refused"),
        (f"fatal: unable to access '{URL}/': SSL certificate problem: self signed", "refused"),
        (f"fatal: repository '{URL}/' not found", "absent"),
        ("ERROR: Repository not found.", "absent"),
        (f"fatal: unable to access '{URL}/': The requested URL returned error: 410", "absent"),
        (f"fatal: unable to access '{URL}/': The requested URL returned error: 302", "moved"),
        ("fatal: unable to update url base from redirection:", "moved"),
        (
            "error: object 1234: hasDotdot: contains '..'\nfatal: fsck error in packed object",
            "unfit",
        ),
        ("fatal: mismatched algorithms: client sha1; server sha256", "unfit"),
        ("fatal: transport 'ext' not allowed", "unfit"),
        (f"fatal: unable to access '{URL}/': Could not resolve host: git.example.com", "temporary"),
        (f"fatal: unable to access '{URL}/': Failed to connect to x port 443", "temporary"),
        (f"fatal: unable to access '{URL}/': The requested URL returned error: 502", "temporary"),
        (f"fatal: unable to access '{URL}/': The requested URL returned error: 429", "temporary"),
        ("fatal: the remote end hung up unexpectedly\nfatal: early EOF", "temporary"),
        ("fetch-pack: unexpected disconnect while reading sideband packet", "temporary"),
        ("", "temporary"),
    ],
)
def test_a_complaint_has_one_meaning(error: str, meaning: Meaning) -> None:
    assert meaning_of(error) == meaning


@pytest.mark.parametrize(
    ("error", "expected", "wire_type"),
    [
        ("fatal: Authentication failed for 'x'", PermanentError, "RepositoryRefused"),
        ("fatal: repository 'x' not found", PermanentError, "RepositoryUnavailable"),
        ("The requested URL returned error: 301", PermanentError, "RepositoryUnavailable"),
        ("fatal: fsck error in packed object", PermanentError, "RepositoryRefused"),
        ("fatal: Connection reset by peer", TemporaryError, "RepositoryUnavailable"),
    ],
)
def test_a_meaning_decides_whether_to_try_again(
    error: str, expected: type[Exception], wire_type: str
) -> None:
    made = network_error(Finished(128, b"", error), Scrubber(()))
    assert (type(made), made.type) == (expected, wire_type)


def test_a_server_that_is_late_may_be_tried_again_and_one_that_floods_may_not() -> None:
    late = network_error(Finished(-15, b"", "Authentication failed", timed_out=True), Scrubber(()))
    flood = network_error(Finished(-15, b"", "", overflowed=True), Scrubber(()))
    assert isinstance(late, TemporaryError)
    assert isinstance(flood, PermanentError)


@pytest.mark.parametrize(
    "error",
    [
        "error: object file objects/aa/bb is empty\nfatal: loose object aabb is corrupt",
        "error: packfile objects/pack/pack-1.pack does not match index",
        "fatal: unable to read tree 1234567",
        "error: inflate: data stream error (incorrect data check)",
        "fatal: Unable to create '/x/refs/kept/a.lock': File exists.",
    ],
)
def test_damage_of_our_own_mirror_is_told_from_trouble_with_the_server(error: str) -> None:
    assert is_damaged(Finished(128, b"", error))


@pytest.mark.parametrize(
    "error",
    [
        "fatal: unable to access 'https://x/': Could not resolve host: x",
        "fatal: the remote end hung up unexpectedly",
        "fatal: bad revision 'aaaa^{commit}'",
        "remote: fatal: loose object aabb is corrupt\nfatal: early EOF",
        "fatal: remote error: upload-pack: not our ref aaaa",
        "",
    ],
)
def test_what_the_server_says_never_costs_us_the_mirror(error: str) -> None:
    assert not is_damaged(Finished(128, b"", error))


def test_a_missing_object_is_known_from_both_protocols() -> None:
    for error in (
        "fatal: remote error: upload-pack: not our ref aaaa",
        "error: Server does not allow request for unadvertised object aaaa",
    ):
        assert lacks_object(Finished(128, b"", error))
    assert not lacks_object(Finished(128, b"", "fatal: early EOF"))


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("fatal: https://ada:hunter2@git.example.com/x", "fatal: https://git.example.com/x"),
        ("fatal: https://t0ken@git.example.com/x", "fatal: https://git.example.com/x"),
        ("Authorization: Basic c2VjcmV0", "[hidden]"),
        ("sent bearer abc.def-ghi to", "sent [hidden] to"),
        ("the value s3cr3t leaked", "the value [hidden] leaked"),
        ("\x1b[31mred\x1b[0m \x07bell\x00", "red bell"),
        ("a\u202eb\u200bc", "a b c"),
        ("two\nlines\r\nor  more", "two lines or more"),
        ("x" * 2000, "x" * MAX_WORDS + "..."),
    ],
)
def test_other_peoples_words_are_cleaned(text: str, clean: str) -> None:
    assert Scrubber(["s3cr3t"]).clean(text) == clean
