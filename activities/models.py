"""Model calls: one question, one paid reply. Holds the model keys; everything it says is data."""

import asyncio
from collections.abc import Callable, Sequence

from temporalio import activity

from pilothouse.clients.models import (
    PriceTable,
    Prompt,
    Provider,
    Reply,
    ReplyJournal,
    result_tool,
)
from pilothouse.clients.store import ContentStore
from pilothouse.gitops.agents.sanitise import one_line
from pilothouse.gitops.agents.utterances import clean_message
from pilothouse.gitops.redaction import Redactor
from pilothouse.models.conversations import (
    RESULT_TOOL,
    TOOL_LIST,
    Block,
    Conversation,
    Message,
    TextBlock,
    ToolCallBlock,
    ToolResultBlock,
)
from pilothouse.models.model_calls import ModelCallRequest, ModelCallResult, ToolCall, ToolOutcome
from pilothouse.models.objects import canonical_json, digest_of


class ModelActivities:
    """What workflows may ask of language models."""

    def __init__(
        self,
        *,
        provider_for: Callable[[str], Provider],
        store: ContentStore,
        journal: ReplyJournal,
        prices: PriceTable,
        secrets: Sequence[str] = (),
    ) -> None:
        """Prepare.

        Args:
            provider_for: who speaks for `provider:model`.
            store: where conversations are read from and go.
            journal: of the replies that were paid.
            prices: of models.
            secrets: values that this process holds; no reply goes on with one of them.
        """
        self._provider_for = provider_for
        self._store = store
        self._journal = journal
        self._prices = prices
        self._secrets = tuple(secrets)

    @activity.defn
    async def call_model(self, request: ModelCallRequest) -> ModelCallResult:
        """Ask a model once and append its reply, sanitised, to the conversation.

        Idempotent by `request.key`, but for one window: a worker that dies after the provider took
        the question and before the reply is on this disk lets the retry pay again. Give it a
        heartbeat timeout, which is how soon a cancellation arrives; the provider is then hung up
        on at once. Budgets are checked by the workflow, before.

        Raises:
            ApplicationError: `ModelRefused`, `InvalidRequest`, `StoreMiss`, `DigestMismatch`, all
                final; `ModelUnavailable`, retried after what the provider asked for, at most 60 s.
        """
        question = _question(request)
        reply = await asyncio.to_thread(self._journal.find, request.key, question)
        if reply is None:
            provider = await asyncio.to_thread(self._provider_for, request.model)
            reply = await provider.complete(await asyncio.to_thread(self._prompt, request))
            # A thread ends what it began: a cancellation from here on loses no paid reply.
            await asyncio.to_thread(self._journal.record, request.key, question, reply)
        return await asyncio.to_thread(self._result, request, reply)

    def _prompt(self, request: ModelCallRequest) -> Prompt:
        return Prompt(
            conversation=self._conversation(request),
            tools=TOOL_LIST.validate_json(self._store.get(request.tools)),
            result=result_tool(),
            force_result=request.force_result,
            max_output_tokens=request.max_output_tokens,
            timeout=request.timeout_seconds,
        )

    def _conversation(self, request: ModelCallRequest) -> Conversation:
        """The conversation so far, with what answers the turn before."""
        said = Conversation.model_validate_json(self._store.get(request.conversation))
        blocks: list[Block] = [self._outcome(each) for each in request.results]
        if request.hint:
            blocks.append(TextBlock(text=request.hint))
        return said.add(Message(role="user", blocks=tuple(blocks))) if blocks else said

    def _outcome(self, result: ToolOutcome) -> ToolResultBlock:
        text = result.message
        if result.text is not None:
            text = self._store.get(result.text).decode("utf-8", "replace")
        return ToolResultBlock(id=result.id, text=text, is_error=result.is_error)

    def _result(self, request: ModelCallRequest, reply: Reply) -> ModelCallResult:
        redactor = Redactor(self._secrets, salt=request.key.rpartition("/")[0])
        message = clean_message(reply.message, redactor, self._offered(request))
        conversation = self._conversation(request).add(message)
        calls = message.calls
        answer = calls[0] if reply.stop == "result" and not calls[0].problem else None
        cost = self._prices.cost(request.model, reply.usage)
        return ModelCallResult(
            conversation=self._store.put(canonical_json(conversation.model_dump(mode="json"))),
            stop=reply.stop,
            tool_calls=tuple(map(self._call, calls)) if reply.stop == "tool_use" else (),
            result=self._store.put(canonical_json(answer.arguments)) if answer else None,
            problem=reply.problem or (calls[0].problem if reply.stop == "result" else ""),
            usage=reply.usage.model_copy(update={"cost": cost}),
            model=one_line(reply.model, redactor, limit=200),
            request_id=one_line(reply.request_id, redactor, limit=200),
        )

    def _offered(self, request: ModelCallRequest) -> frozenset[str]:
        tools = TOOL_LIST.validate_json(self._store.get(request.tools))
        return frozenset({RESULT_TOOL, *(tool.name for tool in tools)})

    def _call(self, call: ToolCallBlock) -> ToolCall:
        return ToolCall(
            id=call.id,
            name=call.name,
            arguments=self._store.put(canonical_json(call.arguments)),
            problem=call.problem,
        )


def _question(request: ModelCallRequest) -> str:
    """The digest of all that decides a reply: the same operation must ask the same."""
    told = request.model_dump(mode="json", exclude={"key", "timeout_seconds"})
    return digest_of(canonical_json(told))
