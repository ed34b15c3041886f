"""The share links of Google Drive, OneDrive, Box and Dropbox, as links to the bytes themselves."""

import re
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Final
from urllib.parse import SplitResult, parse_qs, urlencode, urlsplit

_ID: Final = re.compile(r"[A-Za-z0-9_-]{10,128}")
_EXPORTS: Final = {
    "document": "export?format=txt",
    "spreadsheets": "export?format=csv",
    "presentation": "export/pdf",
}


def download_url(url: str) -> str:
    """The download form of a share link; any other URL as it is.

    Pure text: nothing is asked, and what comes out is judged like every other URL.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return url
    for known, rewrite in _KNOWN:
        if host == known or (known.startswith(".") and host.endswith(known)):
            return rewrite(url, parts) or url
    return url


def _google_drive(_url: str, parts: SplitResult) -> str:
    found = re.fullmatch(r"/file/(?:u/\d+/)?d/([^/]+)(?:/.*)?", parts.path)
    query = parse_qs(parts.query)
    identity = found[1] if found else query.get("id", [""])[0]
    if not _ID.fullmatch(identity):
        return ""
    wanted = {"export": "download", "id": identity}
    if "resourcekey" in query:
        wanted["resourcekey"] = query["resourcekey"][0]
    return f"https://drive.google.com/uc?{urlencode(wanted)}"


def _google_docs(_url: str, parts: SplitResult) -> str:
    found = re.fullmatch(
        r"/(document|spreadsheets|presentation)/(?:u/\d+/)?d/([^/]+)(?:/.*)?", parts.path
    )
    if found is None or not _ID.fullmatch(found[2]):
        return ""
    return f"https://docs.google.com/{found[1]}/d/{found[2]}/{_EXPORTS[found[1]]}"


def _onedrive(url: str, _parts: SplitResult) -> str:
    token = urlsafe_b64encode(url.encode()).decode().rstrip("=")
    return f"https://api.onedrive.com/v1.0/shares/u!{token}/root/content"


def _sharepoint(_url: str, parts: SplitResult) -> str:
    # Share links say the kind of document in their first part: /:t:/g/personal/...
    if not re.match(r"/:[a-z]:/", parts.path):
        return ""
    return parts._replace(query="download=1", fragment="").geturl()


def _box(_url: str, parts: SplitResult) -> str:
    found = re.fullmatch(r"/s/([A-Za-z0-9]{8,64})/?", parts.path)
    return f"https://{parts.hostname}/shared/static/{found[1]}" if found else ""


def _dropbox(_url: str, parts: SplitResult) -> str:
    if not re.match(r"/(?:s|scl/fi|scl/fo|sh)/", parts.path):
        return ""
    query = {key: values[0] for key, values in parse_qs(parts.query).items()} | {"dl": "1"}
    return f"https://www.dropbox.com{parts.path}?{urlencode(query)}"


_KNOWN: Final[tuple[tuple[str, Callable[[str, SplitResult], str]], ...]] = (
    ("drive.google.com", _google_drive),
    ("docs.google.com", _google_docs),
    ("1drv.ms", _onedrive),
    ("onedrive.live.com", _onedrive),
    (".sharepoint.com", _sharepoint),
    ("app.box.com", _box),
    (".app.box.com", _box),
    ("dropbox.com", _dropbox),
    ("www.dropbox.com", _dropbox),
)
