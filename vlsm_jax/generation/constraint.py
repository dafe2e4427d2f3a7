"""Grammar constraint: which tokens may come next, so that what a model writes is FlexScript.

The rules are `vlsm_jax.flexscript.grammar`; llguidance, an optional package, follows them token by token. To ask
whether a token may come takes a hundredth of a millisecond, and to fill a bit for every token of the vocabulary fifty
times as long: see `vlsm_jax.generation.constrained` for when it is needed.

Letters: R rows, V vocabulary, W words of bits, 32 tokens to an int32, ceil(V / 32) of them.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vlsm_jax.data.tokenizer import Tokenizer
from vlsm_jax.flexscript.grammar import flexscript_grammar
from vlsm_jax.generation.naming import Naming

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

    def scripts(self, rows: int, names: Sequence[Sequence[str]] | None = None) -> Scripts:
        """Returns `rows` empty scripts to be written; `names` of each: what objects may be called, None: anything."""
        matchers = [self._start.deep_copy() for _ in range(rows)]
        naming = None if names is None else [Naming.of_names(of_row) for of_row in names]
        return Scripts(matchers, self.words, self.tokenizer.eos_id, self._pieces if naming else None, naming)

    def spelt(self, token: int) -> bytes:
        """Returns what a token spells."""
        return self._tokens.decode_bytes([token])

    @functools.cached_property
    def _pieces(self) -> Pieces:
        return Pieces([self.spelt(token) for token in range(self.tokenizer.size)])

    def accepts(self, ids: Sequence[int]) -> bool:
        """Whether tokens, without an end-of-text id, are a complete script."""
        matcher = self._start.deep_copy()
        return matcher.try_consume_tokens(list(map(int, ids))) == len(ids) and matcher.is_accepting()

    def accepts_text(self, text: str) -> bool:
        """Whether a text is a script, whatever tokens it is written with."""
        return self.accepts(self._tokens.tokenize_bytes(text.encode()))


class Pieces:
    """What tokens spell.

    Attributes:
      spelt: of each token.
      with_quote: int [n], the tokens with a quote, where a name may begin and end.
    """

    def __init__(self, spelt: Sequence[bytes]):
        self.spelt = spelt
        self.with_quote = np.array([token for token, piece in enumerate(spelt) if b'"' in piece], np.int64)
        first = np.array([piece[0] if piece else -1 for piece in spelt])
        self._beginning = {byte: np.flatnonzero(first == byte) for byte in np.unique(first[first >= 0]).tolist()}

    def beginning(self, bytes_: Iterable[int]) -> np.ndarray:
        """Returns the tokens that begin with one of some bytes, int [n]."""
        found = [self._beginning[byte] for byte in bytes_ if byte in self._beginning]
        return np.concatenate(found) if found else np.zeros(0, np.int64)


class Scripts:
    """Scripts that are being written, one in each row.

    Attributes:
      bits: int32 [R, W]; after `fill`, bit `t % 32` of a row's word `t // 32` says whether token t may come next.
      done: bool [R]; rows that ended.
    """

    def __init__(
        self,
        matchers: list[LLMatcher],
        words: int,
        eos_id: int,
        pieces: Pieces | None = None,
        naming: list[Naming] | None = None,
    ):
        self._matchers, self._eos_id = matchers, eos_id
        self._pieces, self._naming = pieces, naming
        self.bits = np.zeros((len(matchers), words), np.int32)
        self.done = np.zeros(len(matchers), bool)

    def take(self, row: int, tokens: list[int]) -> int:
        """Appends tokens to a row that has not ended, up to the first that may not come; returns how many."""
        matcher = self._matchers[row]
        end = tokens.index(self._eos_id) if self._eos_id in tokens else len(tokens)
        states = self._named(row, tokens[:end])
        allowed = end if states is None else len(states)
        taken = matcher.try_consume_tokens(tokens[:allowed])
        if states and taken:
            self._naming[row] = states[taken - 1]
        if taken < end or end == len(tokens):
            return taken
        self.done[row] = matcher.is_accepting()
        return taken + int(self.done[row])

    def _named(self, row: int, tokens: list[int]) -> list[Naming] | None:
        """Returns the states after each of the tokens that names allow; None where all names may come."""
        if self._naming is None:
            return None
        states, state = [], self._naming[row]
        for token in tokens:
            state = state.after(self._pieces.spelt[token])
            if state is None:
                break
            states.append(state)
        return states

    def fill(self, row: int) -> None:
        """Fills the bits of what may come next in a row that has not ended.

        Raises:
          ConstraintError: the grammar's limits are exceeded, or it and the names leave nothing.
        """
        bits, matcher = self.bits[row], self._matchers[row]
        matcher.unsafe_compute_mask_ptr(bits.ctypes.data, bits.nbytes)
        if matcher.is_error():
            raise ConstraintError(f"row {row}: {matcher.get_error()}")
        if self._naming is not None:
            self._leave_names(bits, self._naming[row])
            if not bits.any():
                raise ConstraintError(f"row {row}: neither the grammar nor the names leave a token that may come")

    def _leave_names(self, bits: np.ndarray, state: Naming) -> None:
        """Takes the bits of tokens that names do not allow."""
        pieces, may = self._pieces, np.unpackbits(bits.view(np.uint8), bitorder="little").astype(bool)
        within = state.next_bytes
        asked = pieces.with_quote if within is None else pieces.beginning(within)
        asked = asked[may[asked]]
        allowed = np.array([state.after(pieces.spelt[token]) is not None for token in asked], bool)
        if within is None:
            may[asked] = allowed
        else:
            may[:] = False
            may[asked[allowed]] = True
        bits[:] = np.packbits(may, bitorder="little").view(np.int32)
