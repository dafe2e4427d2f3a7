"""Text as it is written: what tokens add to what was shown before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vlsm_jax.data.placeholders import Placeholders
from vlsm_jax.data.tokenizer import Tokenizer

OnText = Callable[[int, int, str], None]
"""Called with the number of the prompt, that of its candidate, and a piece of text."""

# What a decoder makes of bytes that are no whole character, such as the first half of one.
_INCOMPLETE = "\ufffd"


class Stream:
    """Tells a callback what each row has become since it was last told.

    Args:
      tokenizer: of the model.
      on_text: is told.
      named: the prompts; rows beyond them, that fill a batch, are not told.
      candidates: how many of each.
    """

    def __init__(self, tokenizer: Tokenizer, on_text: OnText, named: Sequence[Placeholders], candidates: int):
        self._tokenizer, self._on_text, self._named, self._candidates = tokenizer, on_text, named, candidates
        self._shown = [""] * (len(named) * candidates)

    def show(self, tokens: np.ndarray, counts: np.ndarray, done: np.ndarray) -> None:
        """Takes tokens [R, N] of which the first `counts` [R] are written, and whether a row [R] is done."""
        for row, shown in enumerate(self._shown):
            text = self._tokenizer.decode(tokens[row, : counts[row]])
            if not done[row]:
                text = text.rstrip(_INCOMPLETE)  # the other half is to come
            text = self._named[row // self._candidates].restore(text, unfinished=not done[row])
            if len(text) > len(shown):
                self._on_text(*divmod(row, self._candidates), text[len(shown) :])
                self._shown[row] = text
