"""How an agent's conversation begins, and what its answer is worth. Asks no model."""

import asyncio
from collections.abc import Mapping, Sequence

from temporalio import activity

from pilothouse.clients.store import ContentStore
from pilothouse.clients.tree import StoredTree
from pilothouse.gitops.agents.answers import clean_answer, parse_answer
from pilothouse.gitops.agents.evidence import judge
from pilothouse.gitops.agents.framing import frame
from pilothouse.gitops.agents.prompting import first_words, system_prompt
from pilothouse.gitops.agents.sanitise import one_line, sanitise
from pilothouse.gitops.agents.verdict import conclude, model_verdict
from pilothouse.gitops.redaction import Redactor
from pilothouse.models.agents import (
    MAX_JUDGED_BYTES,
    AgentRequest,
    AnswerRequest,
    JudgedAnswer,
    JudgedFinding,
    Opening,
    OpeningRequest,
)
from pilothouse.models.conversations import Conversation, Message, TextBlock
from pilothouse.models.errors import PermanentError
from pilothouse.models.objects import canonical_json
from pilothouse.models.tools import EvidenceId, Material


class ConversationActivities:
    """Turns what a stage knows into a conversation, and a model's words into a verdict."""

    def __init__(self, *, store: ContentStore, secrets: Sequence[str] = ()) -> None:
        """Prepare.

        Args:
            store: where material is read from and conversations go.
            secrets: values that this process holds; no text leaves with one of them.
        """
        self._store = store
        self._secrets = tuple(secrets)

    @activity.defn
    async def open_conversation(self, request: OpeningRequest) -> Opening:
        """The system prompt and the first turn, with all material sanitised, framed and cut.

        Idempotent: the same request gives the same bytes.

        Raises:
            PermanentError: `InvalidRequest`, the prompt file is missing or no text; `StoreMiss`.
        """
        return await asyncio.to_thread(self._open, request)

    @activity.defn
    async def read_answer(self, request: AnswerRequest) -> JudgedAnswer:
        """Read an answer strictly, look up what it cites, and weigh it against the rules.

        Idempotent. An answer in the wrong form is a result, not an error.

        Raises:
            PermanentError: `StoreMiss`.
        """
        return await asyncio.to_thread(self._judge, request)

    def _open(self, opening: OpeningRequest) -> Opening:
        request = opening.request
        redactor = self._redactor(opening.key)
        prompt = sanitise(self._prompt(request), redactor).text
        system = system_prompt(request, request.role, prompt)
        shown, framed, readable = [], [], []
        for number, material in enumerate(request.material):
            text = sanitise(self._text(material.content), redactor).text
            whole = self._store.put(text.encode("utf-8", "replace"))
            title = one_line(f"{material.kind} {material.title}", redactor, limit=150)
            key = f"{opening.key}/{number}"
            in_frame = frame(text, id=material.id, title=title, key=key, ref=whole)
            body = in_frame.body.encode("utf-8", "replace")
            kept = {"title": title, "content": self._store.put(body), "size": len(body)}
            shown.append(material.model_copy(update=kept))
            framed.append(in_frame.text)
            if in_frame.omitted:
                readable.append(whole)
        words = TextBlock(text=first_words(request, tuple(framed)))
        conversation = Conversation(
            system=system, messages=(Message(role="user", blocks=(words,)),)
        )
        return Opening(
            conversation=self._store.put(canonical_json(conversation.model_dump(mode="json"))),
            prompt=self._store.put(system.encode("utf-8", "replace")),
            shown=tuple(shown),
            readable=tuple(readable),
        )

    def _prompt(self, request: AgentRequest) -> str:
        """The team's words, from the revision that governs."""
        file = request.spec.prompt_file
        if file is None:
            return request.spec.prompt
        digest = request.prompt_tree or request.tree
        tree = StoredTree(self._store, digest) if digest else {}
        if file not in tree:
            raise PermanentError(
                "InvalidRequest", f"the prompt file {file} of {request.name!r} does not exist"
            )
        return self._text(tree[file])

    def _text(self, content: str | bytes) -> str:
        data = content if isinstance(content, bytes) else self._store.get(content)
        return data.decode("utf-8", "replace")

    def _judge(self, request: AnswerRequest) -> JudgedAnswer:
        parsed = parse_answer(self._store.get(request.answer))
        if parsed.answer is None:
            weighed = conclude(request.rules, "malformed", None, request.on_error)
            return JudgedAnswer(
                outcome="malformed",
                hint=parsed.hint,
                verdict=weighed.verdict,
                needs_human=weighed.needs_human,
                message=parsed.problem,
            )
        answer = clean_answer(parsed.answer, self._redactor(request.key))
        findings, hypotheses = judge(answer, self._shown(request.shown))
        verdict = model_verdict(answer, findings)
        weighed = conclude(request.rules, "answered", verdict, request.on_error)
        travelling = _travelling(findings)
        return JudgedAnswer(
            outcome="answered",
            verdict=weighed.verdict,
            model_verdict=verdict,
            needs_human=answer.needs_human or weighed.needs_human,
            summary=answer.summary,
            findings=travelling,
            omitted=len(findings) - len(travelling),
            hypotheses=hypotheses,
            recovery=answer.recovery,
            message=weighed.message,
        )

    def _shown(self, materials: Sequence[Material]) -> Mapping[EvidenceId, str]:
        return {each.id: self._text(each.content) for each in materials}

    def _redactor(self, key: str) -> Redactor:
        """Equal credentials are told as equal within one run of one agent."""
        return Redactor(self._secrets, salt=key.rpartition("/")[0])


def _travelling(findings: Sequence[JudgedFinding]) -> tuple[JudgedFinding, ...]:
    """The worst findings that fit into a history; all of them stay in the stored answer."""
    rank = {"error": 0, "warning": 1, "info": 2}
    kept, size = [], 0
    for finding in sorted(findings, key=lambda each: rank[each.finding.severity]):
        size += len(finding.model_dump_json().encode())
        if size > MAX_JUDGED_BYTES:
            break
        kept.append(finding)
    return tuple(kept)
