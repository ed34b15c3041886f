"""What model calls cost, by a table that people edit. An unknown price is said, never guessed."""

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from pilothouse.models.base import Declaration, explain
from pilothouse.models.errors import PermanentError
from pilothouse.models.model_calls import Usage

SHIPPED = Path(__file__).with_name("prices.toml")
_MILLION = 1_000_000
_Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Price(Declaration):
    """US dollars per million tokens of the models that a pattern fits."""

    model: str
    """`provider:model`; `*` and `?` are wild."""
    input: _Dollars
    output: _Dollars
    cached_input: _Dollars | None = None
    cache_write: _Dollars | None = None


class PriceTable(Declaration):
    """All prices; the first that fits counts."""

    price: tuple[Price, ...] = ()

    @classmethod
    def read(cls, path: Path | None = None) -> "PriceTable":
        """Read a table; without a path the shipped one.

        Raises:
            PermanentError: `InvalidRequest`, the file cannot be read or has the wrong form.
        """
        path = path or SHIPPED
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except ValidationError as error:
            raise PermanentError("InvalidRequest", f"{path}: {explain(error)}") from None
        except (OSError, ValueError) as error:
            raise PermanentError("InvalidRequest", f"{path}: {error}") from None

    def cost(self, model: str, usage: Usage) -> float | None:
        """US dollars for what one call used; None: no price fits the model."""
        price = next((each for each in self.price if fnmatchcase(model, each.model)), None)
        if price is None:
            return None
        plain = usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens
        cached = price.input if price.cached_input is None else price.cached_input
        written = price.input if price.cache_write is None else price.cache_write
        return (
            max(plain, 0) * price.input
            + usage.cached_tokens * cached
            + usage.cache_write_tokens * written
            + usage.output_tokens * price.output
        ) / _MILLION
