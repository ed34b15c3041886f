"""Share links become links to the bytes."""

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.workspace.share_links import download_url

DRIVE = "https://drive.google.com/uc?export=download&id=1AbC_dEf-123456"
SHORT = "https://1drv.ms/t/s!AbC"
CASES = [
    ("https://drive.google.com/file/d/1AbC_dEf-123456/view?usp=sharing", DRIVE),
    ("https://drive.google.com/file/d/1AbC_dEf-123456/edit", DRIVE),
    ("https://drive.google.com/file/u/0/d/1AbC_dEf-123456/view", DRIVE),
    ("https://drive.google.com/open?id=1AbC_dEf-123456", DRIVE),
    (
        "https://drive.google.com/file/d/1AbC_dEf-123456/view?resourcekey=0-x",
        f"{DRIVE}&resourcekey=0-x",
    ),
    (
        "https://docs.google.com/document/d/1AbC_dEf-123456/edit?usp=sharing",
        "https://docs.google.com/document/d/1AbC_dEf-123456/export?format=txt",
    ),
    (
        "https://docs.google.com/spreadsheets/d/1AbC_dEf-123456/edit#gid=0",
        "https://docs.google.com/spreadsheets/d/1AbC_dEf-123456/export?format=csv",
    ),
    (
        "https://docs.google.com/presentation/d/1AbC_dEf-123456/edit",
        "https://docs.google.com/presentation/d/1AbC_dEf-123456/export/pdf",
    ),
    (
        SHORT,
        "https://api.onedrive.com/v1.0/shares/u!"
        + urlsafe_b64encode(SHORT.encode()).decode().rstrip("=")
        + "/root/content",
    ),
    (
        "https://acme-my.sharepoint.com/:t:/g/personal/a_b/Ex?e=4kL",
        "https://acme-my.sharepoint.com/:t:/g/personal/a_b/Ex?download=1",
    ),
    (
        "https://app.box.com/s/abcdef0123456789",
        "https://app.box.com/shared/static/abcdef0123456789",
    ),
    (
        "https://acme.app.box.com/s/abcdef0123456789",
        "https://acme.app.box.com/shared/static/abcdef0123456789",
    ),
    (
        "https://www.dropbox.com/s/x1/values.yaml?dl=0",
        "https://www.dropbox.com/s/x1/values.yaml?dl=1",
    ),
    (
        "https://www.dropbox.com/scl/fi/x1/values.yaml?rlkey=k&dl=0",
        "https://www.dropbox.com/scl/fi/x1/values.yaml?rlkey=k&dl=1",
    ),
    ("https://dropbox.com/s/x1/values.yaml", "https://www.dropbox.com/s/x1/values.yaml?dl=1"),
]
UNTOUCHED = [
    "https://example.com/x",
    "https://drive.google.com/drive/folders/1AbC_dEf-123456",
    "https://drive.google.com/file/d/../view",
    "https://drive.google.com.evil.example/file/d/1/view",
    "https://evilsharepoint.com/:t:/g/x",
    "https://acme.sharepoint.com/sites/x",
    "https://app.box.com/folder/0",
    "https://www.dropbox.com/home",
    "not a url",
    "https://[::1",
    DRIVE,
    "https://docs.google.com/forms/d/1AbC_dEf-123456/edit",
]


@pytest.mark.parametrize(("shared", "download"), CASES)
def test_a_share_link_becomes_its_download(shared: str, download: str) -> None:
    assert download_url(shared) == download


@pytest.mark.parametrize("url", UNTOUCHED)
def test_what_is_no_share_link_stays_as_it_is(url: str) -> None:
    assert download_url(url) == url


@given(st.text(max_size=100))
def test_any_text_is_answered(text: str) -> None:
    assert isinstance(download_url(f"https://drive.google.com/{text}"), str)
