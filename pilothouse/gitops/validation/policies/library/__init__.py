"""The functions that the API server's CEL has beyond the language's own."""

from typing import Final

from pilothouse.gitops.validation.policies.library.addresses import ADDRESSES
from pilothouse.gitops.validation.policies.library.amounts import AMOUNTS
from pilothouse.gitops.validation.policies.library.lists import LISTS

FUNCTIONS: Final = (*ADDRESSES, *AMOUNTS, *LISTS)
