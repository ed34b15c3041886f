"""Language models behind one protocol: ask once, get a reply that can be acted on, or an error.

The SDKs are imported when a provider is first asked for, never by importing this package.
"""

from pilothouse.clients.models.journal import ReplyJournal
from pilothouse.clients.models.prices import Price, PriceTable
from pilothouse.clients.models.provider import Prompt, Provider, Reply
from pilothouse.clients.models.registry import Providers
from pilothouse.clients.models.result_tool import result_tool
from pilothouse.clients.models.scripted import Script, ScriptedProvider

__all__ = [
    "Price",
    "PriceTable",
    "Prompt",
    "Provider",
    "Providers",
    "Reply",
    "ReplyJournal",
    "Script",
    "ScriptedProvider",
    "result_tool",
]
