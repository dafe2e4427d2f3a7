"""BLEU-4 between scripts, computed by sacrebleu.

Tokens are sacrebleu's "13a" (mteval-v13a: words, numbers and punctuation apart), case counts, and zero counts are
smoothed exponentially: sacrebleu's defaults, spelt out by `bleu_signature`. BLEU sees text alone: two scripts
that build the same Twin in different words score low, and one wrong port scores high.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import sacrebleu
from sacrebleu.metrics import BLEU

TOKENISATION = "13a"
SMOOTHING = "exp"
ORDERS = 4


class BleuCounts(NamedTuple):
    """What BLEU needs of one pair of scripts; the counts of a corpus are the sums over its pairs.

    Attributes:
      matched: n-grams of the candidate that the reference has as well, for n = 1 to 4.
      total: n-grams of the candidate, for n = 1 to 4.
      candidate_length: tokens of the candidate.
      reference_length: tokens of the reference.
    """

    matched: tuple[int, ...]
    total: tuple[int, ...]
    candidate_length: int
    reference_length: int

    def row(self) -> tuple[int, ...]:
        """Returns the ten numbers in one row, as `bleu_from_row` reads them."""
        return (*self.matched, *self.total, self.candidate_length, self.reference_length)


def bleu_counts(reference: str, candidate: str) -> BleuCounts:
    """Counts the n-grams of one pair of scripts."""
    score = _sentence_metric().sentence_score(candidate, [reference])
    return BleuCounts(tuple(score.counts), tuple(score.totals), score.sys_len, score.ref_len)


def bleu_from_row(row: Sequence[int], *, effective_order: bool = False) -> float:
    """Returns BLEU-4 in 0..1 of counts summed over a corpus.

    Args:
      row: the ten numbers of `BleuCounts.row`, summed.
      effective_order: leave out the orders for which the candidate is too short, as is customary for a single sentence.
    """
    score = BLEU.compute_bleu(
        correct=list(row[:ORDERS]),
        total=list(row[ORDERS : 2 * ORDERS]),
        sys_len=row[2 * ORDERS],
        ref_len=row[2 * ORDERS + 1],
        smooth_method=SMOOTHING,
        effective_order=effective_order,
    )
    return _share(score.score)


def corpus_bleu4(counts: Iterable[BleuCounts]) -> float:
    """Returns the corpus-level BLEU-4, in 0..1, of pairs counted one by one; 0 where there are none."""
    return bleu_from_row([sum(column) for column in zip(*(c.row() for c in counts), strict=True)] or [0] * 10)


def bleu4(references: Sequence[str], candidates: Sequence[str]) -> float:
    """Returns the corpus-level BLEU-4 of candidate scripts against one reference each, in 0..1.

    Raises:
      ValueError: the two have different lengths, or are empty.
    """
    if len(references) != len(candidates) or not references:
        raise ValueError(
            f"BLEU-4 of {len(candidates)} candidates against {len(references)} references; give as many of one as of "
            "the other, and at least one"
        )
    return _share(_corpus_metric().corpus_score(list(candidates), [list(references)]).score)


def sentence_bleu4(counts: BleuCounts) -> float:
    """Returns the BLEU-4 of one pair, in 0..1, over the orders that the candidate is long enough for.

    Two scripts without any token are alike and score 1, where sacrebleu says 0.
    """
    if not counts.candidate_length and not counts.reference_length:
        return 1.0
    return bleu_from_row(counts.row(), effective_order=True)


def bleu_signature() -> str:
    """Returns sacrebleu's signature of how BLEU-4 is computed here, with its version."""
    return f"nrefs:1|case:mixed|eff:no|tok:{TOKENISATION}|smooth:{SMOOTHING}|version:{sacrebleu.__version__}"


def _share(percent: float) -> float:
    return min(percent / 100, 1.0)  # exp(log 1) comes out a rounding error above 100


@functools.cache
def _sentence_metric() -> BLEU:
    return BLEU(tokenize=TOKENISATION, smooth_method=SMOOTHING, effective_order=True, force=True)


@functools.cache
def _corpus_metric() -> BLEU:
    return BLEU(tokenize=TOKENISATION, smooth_method=SMOOTHING, force=True)
