"""Model calls: one question, one paid reply. Holds the model keys; everything it says is data."""

import asyncio
from collections.abc import Callable

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
from pilothouse.models.agents import ModelCallRequest, ModelCallResult, ToolCall
from pilothouse.models.conversations import TOOL_LIST, Conversation, ToolCallBlock
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
    ) -> None:
        self._provider_for = provider_for
        self._store = store
        self._journal = journal
        self._prices = prices

    @activity.defn
    async def call_model(self, request: ModelCallRequest) -> ModelCallResult:
        """Ask a model once and append its reply to the conversation.

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
        return Conversation.model_validate_json(self._store.get(request.conversation))

    def _result(self, request: ModelCallRequest, reply: Reply) -> ModelCallResult:
        conversation = self._conversation(request).add(reply.message)
        calls = reply.message.calls
        answer = calls[0] if reply.stop == "result" and not calls[0].problem else None
        cost = self._prices.cost(request.model, reply.usage)
        return ModelCallResult(
            conversation=self._store.put(canonical_json(conversation.model_dump(mode="json"))),
            stop=reply.stop,
            tool_calls=tuple(map(self._call, calls)) if reply.stop == "tool_use" else (),
            result=self._store.put(canonical_json(answer.arguments)) if answer else None,
            problem=reply.problem,
            usage=reply.usage.model_copy(update={"cost": cost}),
            model=reply.model,
            request_id=reply.request_id,
        )

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
