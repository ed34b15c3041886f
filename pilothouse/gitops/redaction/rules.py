"""What credentials look like.

Every pattern is linear on any text: repetitions are bounded or possessive, and a match can begin
only where the run before it could not. tests/unit/gitops/test_redaction.py measures it.
"""

import re
from typing import Final, NamedTuple


class Rule(NamedTuple):
    """One kind of credential. The group `secret` is what is hidden; the rest stays."""

    name: str
    """Stands in the placeholder, so no rule below may see a key in it."""
    hints: tuple[str, ...]
    """In lower case: a text without any of them has no such credential. Only for speed."""
    pattern: re.Pattern[str]


_BEFORE: Final = r"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrt]))"
"""A word begins, perhaps after a line's end within a JSON string."""
_WORDS: Final = (
    r"(?:pass(?:word|wd|phrase|code)|passwort|pwd|secret(?!s\b)|token(?!s|iz)|credentials?"
    r"|(?:api|access|account|private|client|encryption|signing|master|shared|storage)[_-]?key"
    r"|authorization|cookie|connection[_-]?string|dockerconfigjson|dockercfg|(?<![a-z0-9])auth"
    r"|(?<![a-z0-9])sig(?:nature)?)"
)
_REFERS: Final = re.compile(
    r"(?:name|ref|refs|path|file|files|class|type|url|uri|kind|provider|store|count|version"
    r"|namespace|seconds|ttl|length|policy|mount\w{0,20}|expir\w{0,20}|(?:enabl|requir)ed)$",
    re.IGNORECASE,
)
"""Ends of keys that say where a secret is or how long it lives, and do not hold it."""
_NO_SECRET: Final = re.compile(
    r"(?:true|false|null|none|nil|~|[|>][+-]?|)|\$[({].*|<REDACTED:[^<>]*>\W*",
    re.IGNORECASE | re.DOTALL,
)
"""Values that are none: switches, references to variables, and what is redacted already."""
_VALUE: Final = (
    r"\\{1,8}\"(?P<escaped>[^\"\\]{1,8192}+)"
    r"|\"(?P<double>(?:[^\"\\\n]|\\.){1,8192}+)"
    r"|'(?P<single>[^'\n]{1,8192}+)"
    r"|(?P<scheme>(?:bearer|basic|digest|token|negotiate)[ \t]{1,8}[^\s,;\"'\\]{1,8192}+)"
    r"|(?P<bare>(?![{\[])[^\s,;&\"'\\]{1,8192}+)"
)
_KEY_END: Final = r"(?P<suffix>[\w.-]{0,64}+)"
_ASSIGNED: Final = r"[\\\"'\]]{0,8}+[ \t]{0,8}+(?:=>|:=|[=:])[ \t]{0,8}+"

_WORD_HINTS: Final = (
    *("pass", "pwd", "secret", "token", "credential", "key", "auth", "cookie", "connection"),
    *("docker", "sig"),
)
_VENDOR_HINTS: Final = (
    *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "gl", "xox", "xapp-", "sk-"),
    *("k_live_", "k_test_", "whsec_", "aiza", "ya29.", "gocspx-", "npm_", "pypi-", "hf_", "_v1_"),
    *("hvs.", "hvb.", "hvr.", "sg.", "dckr_", "age-secret-key-", ":aa", "sqp_", "shp", "dapi"),
    "lin_api_",
)

PEM: Final = Rule(
    "pem",
    ("private key",),
    re.compile(
        r"(?P<secret>-----BEGIN[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:(?:[^-]|-(?!----))*+-----END[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"|[A-Za-z0-9+/=\s\\]*+))"
    ),
)
WHOLE: Final = (
    PEM,
    Rule(
        "jwt",
        ("eyj",),
        re.compile(
            _BEFORE + r"(?P<secret>eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+)?)"
        ),
    ),
    Rule(
        "aws",
        ("akia", "asia", "aroa", "aida", "abia", "acca"),
        re.compile(_BEFORE + r"(?P<secret>(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z0-9]{16})"),
    ),
    Rule(
        "vendor",
        _VENDOR_HINTS,
        re.compile(
            _BEFORE + r"(?P<secret>gh[pousr]_[A-Za-z0-9]{20,}+"
            r"|github_pat_[A-Za-z0-9_]{20,}+"
            r"|gl(?:pat|ptt|dt|rt|cbt|soat|agent|ft)-[A-Za-z0-9_.-]{16,}+"
            r"|xox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,}+|xapp-[A-Za-z0-9-]{10,}+"
            r"|sk-[A-Za-z0-9_-]{16,}+|[prs]k_(?:live|test)_[A-Za-z0-9]{10,}+"
            r"|whsec_[A-Za-z0-9+/=]{16,}+"
            r"|AIza[A-Za-z0-9_-]{30,}+|ya29\.[A-Za-z0-9_-]{16,}+|GOCSPX-[A-Za-z0-9_-]{16,}+"
            r"|npm_[A-Za-z0-9]{30,}+|pypi-[A-Za-z0-9_-]{30,}+|hf_[A-Za-z0-9]{20,}+"
            r"|do[opr]_v1_[a-f0-9]{40,}+|hv[sbr]\.[A-Za-z0-9_-]{20,}+"
            r"|SG\.[A-Za-z0-9_-]{16,}+\.[A-Za-z0-9_-]{16,}+|dckr_(?:pat|oat)_[A-Za-z0-9_-]{16,}+"
            r"|AGE-SECRET-KEY-1[A-Z0-9]{40,}+|[0-9]{8,12}:AA[A-Za-z0-9_-]{30,}+"
            r"|sqp_[a-f0-9]{40}|shp(?:at|ss|ca)_[a-fA-F0-9]{32}"
            r"|dapi[a-f0-9]{32}|glsa_[A-Za-z0-9_]{30,}+|lin_api_[A-Za-z0-9]{30,}+)"
        ),
    ),
    Rule(
        "webhook",
        ("/services/", "/workflows/", "/webhooks/", ".webhook.office.com/"),
        re.compile(
            r"(?P<secret>https://(?:hooks\.slack\.com/(?:services|workflows)"
            r"|discord(?:app)?\.com/api/webhooks|[a-z0-9.-]{1,80}\.webhook\.office\.com)"
            r"/[A-Za-z0-9/_@-]{8,}+)"
        ),
    ),
    Rule(
        "url",
        ("://",),
        re.compile(r"://[^/\s@:\"'<>]{0,256}+:(?P<secret>[^/\s@\"'<>]{1,512}+)(?=@)"),
    ),
    # A user with a password that holds slashes, as careless people write it.
    Rule(
        "url",
        ("://",),
        re.compile(r"://[^/\s@:\"'<>]{1,256}+:(?!\d{1,5}/)(?P<secret>[^\s@:\"'<>]{1,128}+)(?=@)"),
    ),
    Rule("url", ("://",), re.compile(r"://(?P<secret>[^/\s@:\"'<>]{16,512}+)(?=@)")),
    Rule(
        "bearer",
        ("bearer", "basic"),
        re.compile(
            r"(?i)(?<![a-z0-9_-])(?:bearer|basic)[ \t]{1,8}"
            r"(?=[a-z._~+/-]{0,512}[0-9=])(?P<secret>[a-z0-9._~+/=-]{8,}+)"
        ),
    ),
    Rule(
        "netrc",
        ("login",),
        re.compile(
            r"(?i)\blogin[ \t]{1,8}\S{1,128}\s{1,8}password[ \t]{1,8}(?P<secret>\S{1,512}+)"
        ),
    ),
    Rule(
        "user",
        ("-u", "--user"),
        re.compile(r"(?<!\S)(?:-u|--user)[ =][\"']?[^\s:\"']{1,128}:(?P<secret>[^\s\"']{1,512}+)"),
    ),
)
"""Credentials that are known by their own form."""

LINE: Final = re.compile(
    r"(?im)^[ \t]{0,200}+(?:[+-][ \t]{0,200}+)?[\"']?"
    rf"(?P<key>(?>[\w.-]{{0,64}}?{_WORDS}){_KEY_END})"
    r"[\"']?[ \t]{0,8}:[ \t]{1,8}(?P<secret>[^\s\"'|>&{\[][^\n]{0,8192}+)"
)
"""A line of YAML: an unquoted value may hold spaces, and goes on to the line's end."""
VARIABLE: Final = re.compile(
    rf"(?i)(?<![a-z0-9_])name\\{{0,8}}[\"']?\s{{0,4}}:\s{{0,4}}\\{{0,8}}[\"']?"
    rf"(?P<key>(?>[\w.-]{{0,64}}?{_WORDS}){_KEY_END})\\{{0,8}}[\"']?\s{{0,4}},?\s{{0,80}}"
    rf"\\{{0,8}}[\"']?value\\{{0,8}}[\"']?[ \t]{{0,4}}:[ \t]{{0,8}}(?:{_VALUE})"
)
"""A container's environment: the name in one field, the value in the next."""
VARIABLE_LINE: Final = re.compile(
    r"(?i)(?<![a-z0-9_])name:[ \t]{1,4}[\"']?"
    rf"(?P<key>(?>[\w.-]{{0,64}}?{_WORDS}){_KEY_END})"
    r"[\"']?[ \t]{0,4}\n[ \t+-]{0,200}value:[ \t]{1,8}(?P<secret>[^\s\"'|>&{\[][^\n]{0,8192}+)"
)
"""The same in YAML: an unquoted value goes on to the line's end."""
OPTION: Final = re.compile(
    rf"(?i)(?<![\w-])--?(?P<key>(?>[\w-]{{0,32}}?{_WORDS}){_KEY_END})"
    r"(?:\\{0,8}[\"']\s{0,4},\s{0,80}\\{0,8}[\"']|[ \t]{1,4}[\"']?"
    r"|\n[ \t]{0,40}-[ \t]{1,4}[\"']?)(?!-)"
    r"(?P<secret>[^\s\"',]{1,8192}+)"
)
"""A command line, also as a list of words."""
ASSIGNMENT: Final = re.compile(rf"(?i)(?P<key>{_WORDS}{_KEY_END}){_ASSIGNED}(?:{_VALUE})")
"""`key=value`, `key: value` and JSON, also JSON inside of a JSON string."""
KEYED: Final = (
    Rule("variable", _WORD_HINTS, VARIABLE_LINE),
    Rule("variable", _WORD_HINTS, VARIABLE),
    Rule("option", _WORD_HINTS, OPTION),
    Rule("assignment", _WORD_HINTS, LINE),
    Rule("assignment", _WORD_HINTS, ASSIGNMENT),
)
"""Values that are secret by the name before them."""
_GROUPS: Final = ("secret", "escaped", "double", "single", "scheme", "bare")


def secret_span(match: re.Match[str]) -> tuple[int, int] | None:
    """Where in a match the secret stands; None if the match is none after all."""
    groups = match.groupdict()
    name = next((each for each in _GROUPS if groups.get(each)), None)
    if name is None or _NO_SECRET.fullmatch(match[name].strip()):
        return None
    key = groups.get("key")
    if key is not None and _REFERS.search(key):
        return None
    return match.span(name)
