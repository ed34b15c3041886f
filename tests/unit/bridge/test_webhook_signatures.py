import hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from pilothouse.bridge.configuration import BridgeConfiguration, WatchedRepository
from pilothouse.bridge.signatures import Keyring
from pilothouse.models.repository import RepositoryRef

OLD, NEW, OTHER = "the-old-shared-secret", "the-new-shared-secret", "the-secret-of-other"
APP = WatchedRepository(repository=RepositoryRef(url="https://h/acme/app"), full_name="acme/app")
OTHERS = WatchedRepository(
    repository=RepositoryRef(url="https://h/acme/other"),
    full_name="acme/other",
    secrets=(SecretStr(OTHER),),
)
KEYRING = Keyring(
    BridgeConfiguration(
        journal=Path("unused"),
        repositories=(APP, OTHERS),
        secrets=(SecretStr(OLD), SecretStr(NEW)),
    )
)


def sign(body: bytes, secret: str) -> str:
    return "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex()


def test_the_published_example_of_the_forge_verifies() -> None:
    # "Testing the webhook payload validation" in GitHub's documentation.
    secret = "It's a Secret to Everybody"
    keyring = Keyring(
        BridgeConfiguration(
            journal=Path("unused"), repositories=(APP,), secrets=(SecretStr(secret),)
        )
    )
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert keyring.verify(b"Hello, World!", signature) is not None


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_both_secrets_open_while_one_is_rotated(secret: str) -> None:
    opened = KEYRING.verify(b"body", sign(b"body", secret))
    assert opened is not None
    assert opened.covers(APP)


def test_a_shared_secret_does_not_open_a_repository_with_its_own() -> None:
    opened = KEYRING.verify(b"body", sign(b"body", OLD))
    assert opened is not None
    assert not opened.covers(OTHERS)


def test_a_repositorys_own_secret_opens_no_other() -> None:
    opened = KEYRING.verify(b"body", sign(b"body", OTHER))
    assert opened is not None
    assert opened.covers(OTHERS)
    assert not opened.covers(APP)


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "sha256=",
        "sha1=" + "0" * 40,
        sign(b"body", OLD).upper(),
        sign(b"body", OLD).removeprefix("sha256="),
        sign(b"body", OLD) + "\n",
        sign(b"another body", OLD),
        sign(b"body", "a secret that is not ours"),
        "sha256=" + "\u0661" * 64,
    ],
)
def test_anything_but_the_exact_signature_is_refused(signature: str) -> None:
    assert KEYRING.verify(b"body", signature) is None


@given(st.binary(max_size=200), st.text(max_size=100))
def test_no_text_is_a_signature_by_accident(body: bytes, signature: str) -> None:
    assert KEYRING.verify(body, signature) is None


@given(st.binary(min_size=1, max_size=200), st.integers(min_value=0))
def test_one_changed_bit_of_the_body_breaks_the_signature(body: bytes, position: int) -> None:
    changed = bytearray(body)
    changed[position % len(body)] ^= 1
    assert KEYRING.verify(bytes(changed), sign(body, NEW)) is None
