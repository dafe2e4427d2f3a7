"""Grammar constraint: which tokens may come next, so that what a model writes is FlexScript.

The rules are `vlsm_jax.flexscript.grammar`; llguidance, an optional package, follows them token by token. To ask
whether a token may come takes a hundredth of a millisecond, and to fill a bit for every token of the vocabulary fifty
times as long: see `vlsm_jax.generation.constrained` for when it is needed.

Letters: R rows, V vocabulary, W words of bits, 32 tokens to an int32, ceil(V / 32) of them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vlsm_jax.data.tokenizer import Tokenizer
from vlsm_jax.flexscript.grammar import flexscript_grammar

if TYPE_CHECKING:
    from llguidance import LLMatcher

PACKAGE = "llguidance"


class ConstraintError(RuntimeError):
    """Decoding cannot be constrained; the message says why and what to do."""


def available() -> bool:
    """Whether the package that constraint needs is installed."""
    return importlib.util.find_spec(PACKAGE) is not None


def check_available() -> None:
    """Raises `ConstraintError` where the package is missing."""
    if not available():
        raise ConstraintError('grammar constraint needs llguidance: pip install "vlsm_jax[constrain]"')


class Constraint:
    """The grammar, prepared for one tokenizer; making it takes about a second for 50,000 tokens.

    Args:
      tokenizer: of the model; byte-level BPE, or one with byte tokens as Llama's.

    Raises:
      ConstraintError: llguidance is missing, or cannot read the tokenizer.
    """

    def __init__(self, tokenizer: Tokenizer):
        check_available()
        from llguidance import LLMatcher, LLParserLimits, LLTokenizer

        self.tokenizer = tokenizer
        self.words = -(-tokenizer.size // 32)
        backend = type(tokenizer.backend).from_str(tokenizer.backend.to_str())
        backend.no_padding()
        backend.no_truncation()
        try:
            self._tokens = LLTokenizer(backend.to_str(), n_vocab=tokenizer.size, eos_token=tokenizer.eos_id)
        except ValueError as error:
            raise ConstraintError(f"llguidance cannot read the tokenizer of {tokenizer.directory}: {error}") from error
        # A token that spells a whole phrase of code takes many of the parser's steps, and tokenizers have hundreds.
        limits = LLParserLimits(step_max_items=10**7, max_items_in_row=20_000, step_lexer_fuel=10**7)
        grammar = LLMatcher.grammar_from_lark(flexscript_grammar())
        self._start = LLMatcher(self._tokens, grammar, limits=limits)
        if self._start.is_error():
            raise ConstraintError(f"llguidance does not take the grammar of FlexScript: {self._start.get_error()}")

    def scripts(self, rows: int) -> Scripts:
        """Returns `rows` empty scripts to be written."""
        return Scripts([self._start.deep_copy() for _ in range(rows)], self.words, self.tokenizer.eos_id)

    def accepts(self, ids: Sequence[int]) -> bool:
        """Whether tokens, without an end-of-text id, are a complete script."""
        matcher = self._start.deep_copy()
        return matcher.try_consume_tokens(list(map(int, ids))) == len(ids) and matcher.is_accepting()

    def accepts_text(self, text: str) -> bool:
        """Whether a text is a script, whatever tokens it is written with."""
        return self.accepts(self._tokens.tokenize_bytes(text.encode()))


class Scripts:
    """Scripts that are being written, one in each row.

    Attributes:
      bits: int32 [R, W]; after `fill`, bit `t % 32` of a row's word `t // 32` says whether token t may come next.
      done: bool [R]; rows that ended.
    """

    def __init__(self, matchers: list[LLMatcher], words: int, eos_id: int):
        self._matchers, self._eos_id = matchers, eos_id
        self.bits = np.zeros((len(matchers), words), np.int32)
        self.done = np.zeros(len(matchers), bool)

    def take(self, row: int, tokens: list[int]) -> int:
        """Appends tokens to a row that has not ended, up to the first that may not come; returns how many."""
        matcher = self._matchers[row]
        end = tokens.index(self._eos_id) if self._eos_id in tokens else len(tokens)
        taken = matcher.try_consume_tokens(tokens[:end])
        if taken < end or end == len(tokens):
            return taken
        self.done[row] = matcher.is_accepting()
        return taken + int(self.done[row])

    def fill(self, row: int) -> None:
        """Fills the bits of what may come next in a row that has not ended.

        Raises:
          ConstraintError: the grammar's limits are exceeded.
        """
        bits, matcher = self.bits[row], self._matchers[row]
        matcher.unsafe_compute_mask_ptr(bits.ctypes.data, bits.nbytes)
        if matcher.is_error():
            raise ConstraintError(f"row {row}: {matcher.get_error()}")
