"""What every agent is told before anything else: who speaks, what counts, how it ends."""

from typing import Final

from pilothouse.gitops.agents.framing import NOTICE
from pilothouse.models.agents import AgentRequest
from pilothouse.models.conversations import RESULT_TOOL
from pilothouse.models.pipeline import Role

MAX_PROMPT: Final = 32_000
"""Characters of the team's own prompt."""
_ROLES: Final[dict[Role, str]] = {
    "validator": "Rules have checked the change already. Say what rules cannot see.",
    "tester": "The tests have run already. Say what their results mean.",
    "deployer": "A plan has been made. Explain it to the person who decides about it.",
    "monitor": "The cluster has been looked at. Say whether something is wrong, and what shows it.",
}
_PREAMBLE: Final = f"""\
You advise a team that deploys from Git. You decide nothing and change nothing: rules and people do,
and your answer can only make them stricter. Judge what you are shown; use your tools to learn what
you need and not more; then call {RESULT_TOOL} once. Each finding cites evidence: the id of a text
that you were shown and words that stand in it exactly. What you cannot cite is a guess: say so by
the severity "warning" or "info". An "error" blocks the change. If nothing is wrong, pass it.
"""
FINAL_HINT: Final = f"This is the last turn that you have. Give your answer now with {RESULT_TOOL}."
"""Said with the call that must be the answer."""
ANSWER_HINT: Final = f"Give your answer by calling {RESULT_TOOL}."
"""Said to a model that only talked."""


def system_prompt(request: AgentRequest, role: Role, prompt: str) -> str:
    """The system prompt: ours, then the team's from the governing revision.

    The same for the same agent and role, whatever the change: a provider can cache it.

    Args:
        request: of the agent.
        role: what its stage is about.
        prompt: the team's words, redacted; cut to `MAX_PROMPT` characters.
    """
    parts = [_PREAMBLE, NOTICE]
    if role in _ROLES:
        parts.append(f"{_ROLES[role]}\n")
    if prompt.strip():
        parts.append(f"Your task, in the team's words:\n\n{prompt.strip()[:MAX_PROMPT]}\n")
    return "\n".join([f'You are the agent "{request.name}".\n', *parts])


def first_words(request: AgentRequest, framed: tuple[str, ...]) -> str:
    """The first turn: what is asked, what the rules said, and everything that is shown."""
    lines = [
        request.task or "Look at the change and give your verdict.",
        f"Commit: {request.revision}",
        f"The rules' own verdict: {request.rules}",
        "",
        *(framed or ("Nothing is shown beside this.",)),
    ]
    return "\n".join(lines)
