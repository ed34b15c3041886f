"""rules: everything that validation looks for, and what it is called elsewhere."""

from typing import Annotated

import typer

from pilothouse.cli.console import Output, print_json, say

OutputOption = Annotated[Output, typer.Option("--output", "-o", help="text or json.")]


def rules(output: OutputOption = Output.text) -> None:
    """List every rule of validation; as JSON with reasons, repairs and the ids of other tools.

    Example: pilothouse rules --output json
    """
    from pilothouse.gitops.validation.rules import RULES

    if output is Output.json:
        print_json([
            {
                "id": rule.id,
                "severity": rule.severity,
                "title": rule.title,
                "why": rule.why,
                "fix": rule.fix,
                "counterparts": {tool: list(ids) for tool, ids in rule.counterparts.items()},
            }
            for rule in RULES
        ])
        return
    width = max(len(rule.id) for rule in RULES)
    for rule in RULES:
        say(f"{rule.id:<{width}}  {rule.severity:<7}  {rule.title}")
