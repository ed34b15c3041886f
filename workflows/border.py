"""The border for signals: whatever somebody sends, the workflow goes on.

The SDK hands a handler whatever came: nothing at all, bytes, two values. A handler that is called
so raises, its workflow task fails, and it fails again for ever: one `temporal workflow signal`
without `--input` would block an environment. So each signal is looked at before its handler runs.
"""

from functools import partial
from typing import get_type_hints

from temporalio import workflow
from temporalio.worker import (
    HandleSignalInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

with workflow.unsafe.imports_passed_through():
    from pilothouse.models.base import Claim, Contract


class SignalBorder(Interceptor):
    """Gives every signal handler exactly one instance of the model that it declares."""

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        """The workflow's side of this interceptor."""
        return _Border


class _Border(WorkflowInboundInterceptor):
    async def handle_signal(self, input: HandleSignalInput) -> None:
        model = _declared(input.signal)
        if model is not None and not _fits(input, model):
            if not issubclass(model, Claim):
                # Ours alone send these; they come whole or from somebody who guesses.
                workflow.logger.warning("dropped a malformed signal %r", input.signal[:60])
                return
            value = input.args[0] if len(input.args) == 1 else None
            input.args = [model.model_validate(value)]
        await super().handle_signal(input)


def _declared(signal: str) -> type[Contract] | None:
    """The model of a handler's one argument; None for the handler of unknown signals."""
    handler = workflow.get_signal_handler(signal)
    if handler is None:
        return None
    # The SDK binds a class's handler to its instance with functools.partial.
    function = handler.func if isinstance(handler, partial) else handler
    hints = [kind for name, kind in get_type_hints(function).items() if name != "return"]
    return hints[0] if len(hints) == 1 and issubclass(hints[0], Contract) else None


def _fits(input: HandleSignalInput, model: type[Contract]) -> bool:
    return len(input.args) == 1 and isinstance(input.args[0], model)
