"""What a YAML parser's complaint means to the person who wrote the file."""

import yaml

from pilothouse.models.findings import Finding

_SAID_BETTER = (
    ("mapping values are not allowed", "a second ': ' where only a value can stand"),
    ("did not find expected key", "the indentation fits no mapping that is open here"),
    ("did not find expected '-' indicator", "a list goes on here without '-'"),
    ("did not find expected ',' or ']'", "a list that began with '[' is not closed"),
    ("did not find expected ',' or '}'", "a mapping that began with '{' is not closed"),
    ("did not find expected node content", "a value is missing, or '[' or '{' is not closed"),
    ("found unexpected end of stream", "a quoted text is not closed"),
    ("could not find expected ':'", "a key has no ':' after it"),
    ("found unexpected ':'", "a ':' stands where none is allowed"),
    ("block sequence entries are not allowed", "a list cannot begin on this line"),
    ("control characters are not allowed", "the file holds control characters"),
    ("found unknown escape character", "a text in double quotes has an unknown escape after '\\'"),
)
_FIXES = {
    "mapping values are not allowed": "Fix the indentation, or put the value in quotes.",
    "found unknown escape character": "Double the backslash, or use single quotes.",
}


def syntax_finding(error: yaml.YAMLError, chunk: str, file: str, first_line: int) -> Finding:
    """One finding for a parse error, with line and column in the file.

    Args:
        error: what PyYAML raised.
        chunk: the document's text.
        file: its file.
        first_line: the line of the file that the chunk begins on, 1-based.
    """
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    row, column = (mark.line, mark.column) if mark is not None else (0, 0)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
    line = _line(chunk, row)
    character = line[column : column + 1]
    rule, message, fix = "yaml-syntax", _in_our_words(problem), _fix(problem)
    if "tab character" in problem or ("cannot start any token" in problem and character == "\t"):
        rule, message = "yaml-tab", "a tab is used to indent; YAML allows spaces only"
        fix = "Replace the tab by spaces."
    elif "cannot start any token" in problem and character:
        message = f"a value cannot begin with '{character}'"
        fix = "Put the value in quotes."
    if "{{" in line:
        message += "; the line looks like a template"
        fix = "Render the template first, or quote the value."
    return Finding(
        rule=rule,
        severity="error",
        file=file,
        line=first_line + row,
        message=f"{message} (line {first_line + row}, column {column + 1})",
        fix=fix,
    )


def _line(chunk: str, row: int) -> str:
    lines = chunk.splitlines()
    return lines[row] if row < len(lines) else ""


def _in_our_words(problem: str) -> str:
    for theirs, ours in _SAID_BETTER:
        if theirs in problem:
            return ours
    return problem


def _fix(problem: str) -> str:
    for theirs, fix in _FIXES.items():
        if theirs in problem:
            return fix
    return "Correct the YAML at this place."
