"""How a prompt and a script become one sequence of ids: where the two meet, how it ends, and what is too long."""

from __future__ import annotations

import dataclasses
import enum
import sys
from collections.abc import Sequence

from vlsm_jax.data.tokenizer import PROMPT_PREFIX, Tokenizer


class End(enum.Enum):
    """What a script ends with, and so what a model learns to end it with."""

    TOKEN = "token"  # the end-of-text id, once
    NOTHING = "nothing"  # its last word: a model that learns this does not stop by itself
    PADDING = "padding"  # end-of-text ids up to the end of the row, each a target like any other


@dataclasses.dataclass(frozen=True)
class TextForm:
    """How texts become ids; the default is what is right, the rest is for recipes that do otherwise.

    Attributes:
      joint: prompt and response are encoded as one text, where letters of both may share a token at the seam. Apart,
        generation sees the ids that training saw.
      strip: without white space at the two ends of prompt and response.
      end: what ends a response.
      limit: most ids of a sample. What is longer is cut: its end if `joint`, else prompt and response at half of the
        limit each. What is cut has no end. 0: no limit.
    """

    joint: bool = False
    strip: bool = False
    end: End = End.TOKEN
    limit: int = 0

    def encode(self, prompt: str, response: str, tokenizer: Tokenizer) -> tuple[list[int], int]:
        """Returns the ids of a sample's text, and how many of them are the prompt's."""
        prompt, response = self.texts(*tokenizer.texts(prompt, response))
        asked = tokenizer.encode_prompt(prompt)
        if self.joint:
            parts = [tokenizer.encode_prompt(prompt + response)]
        else:
            parts = [asked, tokenizer.encode_response(response)[:-1]]
        ids = [token for part in parts for token in part[: self._most]]
        kept = self.length([len(part) for part in parts])
        return [*ids, tokenizer.eos_id][:kept], min(len(asked), self._most, kept)

    def texts(self, prompt: str, response: str) -> tuple[str, str]:
        """Returns what is encoded, the prompt without its prefix."""
        return (prompt.strip(), response.strip()) if self.strip else (prompt, response)

    def encoded(self, prompt: str, response: str, tokenizer: Tokenizer) -> list[str]:
        """Returns the texts that are encoded, each by itself: one, or the prompt and the response."""
        prompt, response = self.texts(*tokenizer.texts(prompt, response))
        prompt = PROMPT_PREFIX + prompt
        return [prompt + response] if self.joint else [prompt, response]

    def length(self, lengths: Sequence[int]) -> int:
        """Returns how many ids a sample has whose parts (see `encoded`) have so many each, a beginning included."""
        kept = sum(min(length, self._most) for length in lengths)
        return kept + (self.end is not End.NOTHING and kept == sum(lengths))

    @property
    def _most(self) -> int:
        """Most ids of one part."""
        return (self.limit if self.joint else self.limit // 2) if self.limit else sys.maxsize


DEFAULT_FORM = TextForm()
