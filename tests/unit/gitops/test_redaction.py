"""No credential passes, in whatever kind of place it stands; and nothing takes long."""

import base64
import json
import time
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.gitops.agents.sanitise import WITHHELD, one_line, sanitise
from pilothouse.gitops.redaction import Redactor, strip_control
from pilothouse.gitops.redaction.rules import KEYED, WHOLE, secret_span

REDACTOR = Redactor(["known-value-1"], salt="run")
WORD = st.text("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", min_size=20, max_size=40)
AROUND = st.text(st.characters(blacklist_categories=["Cs"]), max_size=60)


def b64(secret: str) -> str:
    return base64.b64encode(secret.encode()).decode()


def secret_yaml(secret: str, field: str = "stringData") -> str:
    return (
        f"apiVersion: v1\n{field}:\n  any.name: {secret}\n  block: |\n    {secret}\n"
        "kind: Secret\nmetadata:\n  name: db\n"
    )


def secret_json(secret: str) -> str:
    return json.dumps({
        "kind": "List",
        "items": [{"kind": "Secret", "data": {"any": b64(secret)}, "stringData": {"x": secret}}],
    })


def applied(secret: str) -> str:
    inner = json.dumps({"kind": "Secret", "stringData": {"any": secret}})
    return json.dumps({"metadata": {"annotations": {"last-applied-configuration": inner}}})


PLACES: dict[str, Callable[[str], str]] = {
    "pem": lambda s: f"-----BEGIN EC PRIVATE KEY-----\n{s}\n{s}\n-----END EC PRIVATE KEY-----",
    "pem without its end": lambda s: f"-----BEGIN PRIVATE KEY-----\n{s}\n",
    "jwt": lambda s: f"eyJ{s}.eyJ{s}.{s}",
    "github": lambda s: f"cloning with ghp_{s}",
    "vendor key": lambda s: f"using sk-{s} now",
    "bearer": lambda s: f"Authorization: Bearer {s}",
    "url": lambda s: f"postgres://me:{s}@db:5432/x",
    "url with a slash": lambda s: f"postgres://me:{s[:9]}/{s[9:]}@db/x",
    "assignment": lambda s: f"DB_PASSWORD={s} host=db",
    "aws secret": lambda s: f"aws_secret_access_key = {s}",
    "json": lambda s: json.dumps({"user": {"api_key": s}}),
    "json in json": lambda s: json.dumps(json.dumps({"clientSecret": s})),
    "yaml": lambda s: f"  password: {s} and {s}\nnext: 1",
    "yaml quoted": lambda s: f"token: '{s}'",
    "environment": lambda s: f"env:\n- name: DB_TOKEN\n  value: {s} {s}\n",
    "environment json": lambda s: json.dumps({"env": [{"name": "DB_TOKEN", "value": s}]}),
    "option": lambda s: f"run --db-password {s}",
    "options": lambda s: json.dumps(["--api-key", s]),
    "netrc": lambda s: f"machine git login me password {s}",
    "kubeconfig": lambda s: f"users:\n- user:\n    client-key-data: {b64(s)}\n    token: {s}\n",
    "docker": lambda s: json.dumps({"auths": {"r": {"auth": b64("me:" + s)}}}),
    "docker secret": lambda s: f"  .dockerconfigjson: {b64(s)}\n",
    "secret yaml": secret_yaml,
    "secret data": lambda s: secret_yaml(b64(s), "data"),
    "secret json": secret_json,
    "secret json cut off": lambda s: secret_json(s)[:-4],
    "annotation": applied,
    "diff": lambda s: f"-  password: old-{s}\n+  password: {s}\n",
    "zero width": lambda s: f"pass\u200bword={s[:5]}\u200d{s[5:]}",
    "colours": lambda s: f"password=\x1b[31m{s}\x1b[0m",
    "known": lambda _: "x known-value-1 y",
}


@pytest.mark.parametrize("place", PLACES)
def test_a_planted_credential_leaves_as_a_placeholder(place: str) -> None:
    secret = "Zq7canaryX93kdLmw5Tv2b"
    clean = sanitise(PLACES[place](secret), REDACTOR)
    assert not clean.withheld
    assert secret not in clean.text
    assert secret[:9] not in clean.text
    assert b64(secret)[:16] not in clean.text
    assert "known-value-1" not in clean.text
    assert "<REDACTED:" in clean.text
    assert sum(clean.redactions.values()) >= 1


@given(secret=WORD, place=st.sampled_from([*PLACES]), before=AROUND, after=AROUND)
@settings(max_examples=300)
def test_no_text_around_a_credential_lets_it_pass(
    secret: str, place: str, before: str, after: str
) -> None:
    planted = PLACES[place](secret)
    clean = sanitise(f"{before}\n{planted}\n{after}", REDACTOR)
    hidden = b64(secret) if "data" in place else secret
    if place != "known" and hidden not in before + after:
        assert hidden not in clean.text


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "cut off"])
@pytest.mark.parametrize(
    "place", [each for each in PLACES if each not in {"zero width", "colours"}]
)
def test_a_credential_within_a_json_string_is_found(place: str, whole: bool, depth: int) -> None:
    # A tool's answer is JSON, and the file in it is a string whose lines end in an escape.
    text = PLACES[place]("C4naryC4naryC4naryC4nary")
    for _ in range(depth):
        text = json.dumps({"file": f"a:\n{text}\nb: c", "again": f"a:\n{text}\nb: c"})
    found = sanitise(text if whole else text[:-5], REDACTOR)
    assert "C4nary" not in found.text
    assert b64("C4naryC4naryC4naryC4nary") not in found.text


@given(st.text(max_size=400))
def test_redaction_is_idempotent(text: str) -> None:
    once = REDACTOR.redact(strip_control(text)).text
    assert REDACTOR.redact(once).text == once


@pytest.mark.parametrize("place", PLACES)
def test_a_placeholder_is_not_redacted_again(place: str) -> None:
    once = sanitise(PLACES[place]("Zq7canaryX93kdLmw5Tv2b"), REDACTOR).text
    assert sanitise(once, REDACTOR).text == once


def test_the_same_value_has_the_same_placeholder_within_a_run_only() -> None:
    first, second = REDACTOR.redact("token=abcdef1 x"), REDACTOR.redact("key: 1\npassword=abcdef1")
    placeholder = first.text.removeprefix("token=").split()[0]
    assert placeholder in second.text
    other = Redactor(["known-value-1"], salt="other").redact("token=abcdef1 x").text
    assert placeholder not in other


def test_who_holds_no_secret_shows_no_hash_that_others_could_compute() -> None:
    assert Redactor(salt="run").redact("token=abcdef1 x").text == "token=<REDACTED:assignment> x"


@pytest.mark.parametrize(
    "innocent",
    [
        "secretName: db-credentials",
        "secretKeyRef:\n  name: db\n  key: password",
        "automountServiceAccountToken: false",
        "max_tokens: 400, input_tokens=12",
        "imagePullSecrets:\n- name: registry",
        "value: $(DB_PASSWORD)\npassword: ${DB_PASSWORD}",
        "ssh://git@git.example.org/x.git",
        "http://127.0.0.1:8080/a@b",
        "Error: container api is OOMKilled (exit code 137)",
        "image: registry/api@sha256:" + "0" * 64,
        "commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
        "tokenExpirationSeconds: 3600\nkind: SecretStore",
    ],
)
def test_what_is_no_credential_stays(innocent: str) -> None:
    assert sanitise(innocent, REDACTOR).text == innocent


def test_no_rule_sees_a_key_in_a_placeholder() -> None:
    for rule in (*WHOLE, *KEYED):
        text = f"<REDACTED:{rule.name}:00000000> and <REDACTED:kubernetes:00000000>"
        for other in (*WHOLE, *KEYED):
            assert all(secret_span(found) is None for found in other.pattern.finditer(text))


CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Cf Co Cn"
SHOWN = set(CATEGORIES.split())
"""All but control characters, halves of characters and the odd line ends."""

HOSTILE = [
    *("a", "token", "token=", 'token="', "token='", "password: ", "--password\n", "--token "),
    *("eyJaaaaaaaa-", "eyJaaaaaaaa.", "://", "://:", "://a:b", "-----BEGIN PRIVATE KEY-----"),
    *("-----BEGIN PRIVATE KEY-----a-", "name: ", "name: secret ", "name:token,", "basic ", "\\"),
    *("kind: Secret\ndata:\n", '"kind":"Secret" "data":{', '\\"secret', "login a password ", "\n"),
    *("\x1b[", "\x1b]", "a.", "- ", "https://", "[", "{", "-u a:", "secret\\", "\u200b", "auth "),
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_megabyte_takes_less_than_a_second(piece: str) -> None:
    text = (piece * (1_000_000 // len(piece) + 1))[:1_000_000]
    started = time.process_time()
    sanitise(text, REDACTOR)
    taken = time.process_time() - started
    # Quadratic patterns take minutes here; the bound is generous for a loaded machine.
    assert taken < 2.0


@given(st.text())
def test_clean_text_holds_no_control_characters(text: str) -> None:
    plain = strip_control(text)
    plain.encode()
    assert {unicodedata.category(each) for each in plain if each not in "\t\n"} <= SHOWN


@pytest.mark.parametrize("point", [0x202E, 0x2066, 0x200B, 0xFEFF, 0xAD, 0xE0041, 0xFE0F, 0x3164])
def test_what_hides_or_turns_text_is_dropped(point: int) -> None:
    assert strip_control(f"a{chr(point)}b") == "ab"


def test_a_failing_redactor_withholds_the_text() -> None:
    class Broken(Redactor):
        def redact(self, text: str) -> None:  # type: ignore[override] # it only raises
            raise RecursionError(text)

    clean = sanitise("password=hunter2", Broken())
    assert (clean.text, clean.withheld) == (WITHHELD, True)


def test_a_title_is_one_bounded_line_and_clean() -> None:
    title = one_line("get\nlogs token=abcdefg " + "x" * 900, REDACTOR, limit=100)
    assert len(title) == 100
    assert "abcdefg" not in title
    assert "\n" not in title
