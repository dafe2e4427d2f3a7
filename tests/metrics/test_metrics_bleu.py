"""BLEU-4 against its formula, and the intervals against closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU

from vlsm_jax.metrics import bleu4, bleu_signature, bootstrap_interval, share_interval
from vlsm_jax.metrics.bleu import bleu_counts, bleu_from_row, corpus_bleu4, sentence_bleu4

SCRIPT = 'Object a = Object.create("Source");\na.name = "In";\na.setProperty("InterArrivalTime", 10);\n'

scripts = st.lists(
    st.sampled_from(["int", "i", "=", "1", ";", "(", ")", "Model", ".", "find", '"x"']), max_size=30
).map(" ".join)


def test_bleu_by_hand():
    # Tokens: a b c d e f / a b c d x f. Unigrams 5 of 6, bigrams 3 of 5, trigrams 2 of 4, four-grams 1 of 3.
    expected = math.exp(sum(math.log(p) for p in (5 / 6, 3 / 5, 2 / 4, 1 / 3)) / 4)
    assert bleu4(["a b c d e f"], ["a b c d x f"]) == pytest.approx(expected)
    # Two tokens fewer: every n-gram is right and the length is punished by exp(1 - 6 / 4).
    assert bleu4(["a b c d e f"], ["a b c d"]) == pytest.approx(math.exp(1 - 6 / 4))


def test_bleu_splits_code_at_its_punctuation_and_keeps_case():
    # object . create ( " source " ) ; against Object . create ( " Source " ) ;: nine tokens, two differ.
    counts = bleu_counts('Object.create("Source");', 'object.create("source");')
    assert counts.total == (9, 8, 7, 6)
    assert counts.matched[0] == 7


@given(st.lists(st.tuples(scripts, scripts), min_size=1, max_size=5))
@settings(max_examples=50, deadline=None)
def test_sums_of_counts_give_sacrebleus_corpus_score(pairs):
    references, candidates = [r for r, _ in pairs], [c for _, c in pairs]
    expected = BLEU(tokenize="13a", smooth_method="exp", force=True).corpus_score(candidates, [references]).score / 100
    counts = [bleu_counts(*pair) for pair in pairs]
    assert corpus_bleu4(counts) == pytest.approx(expected, abs=1e-12)
    assert bleu4(references, candidates) == pytest.approx(expected, abs=1e-12)
    for (reference, candidate), count in zip(pairs, counts, strict=True):
        single = (
            BLEU(tokenize="13a", effective_order=True, force=True).sentence_score(candidate, [reference]).score / 100
        )
        # Nothing against nothing is no miss; sacrebleu says 0.
        assert sentence_bleu4(count) == pytest.approx(single if reference or candidate else 1.0, abs=1e-12)


def test_a_script_scores_one_against_itself_and_nothing_scores_zero():
    assert bleu4([SCRIPT, SCRIPT], [SCRIPT, SCRIPT]) == 1
    assert sentence_bleu4(bleu_counts(SCRIPT, SCRIPT)) == 1
    assert bleu4([SCRIPT], [""]) == 0
    assert sentence_bleu4(bleu_counts(SCRIPT, "")) == 0
    assert corpus_bleu4([]) == 0


def test_corpus_bleu_is_not_the_mean_of_its_sentences():
    references, candidates = ["a b c d e f g h", "p q r s"], ["a b c d e f g h", "p q x y"]
    counts = [bleu_counts(*pair) for pair in zip(references, candidates, strict=True)]
    mean = sum(map(sentence_bleu4, counts)) / 2
    # By hand: unigrams 10 of 12, bigrams 8 of 10, trigrams 6 of 8, four-grams 5 of 6.
    expected = math.exp(sum(math.log(p) for p in (10 / 12, 8 / 10, 6 / 8, 5 / 6)) / 4)
    assert bleu4(references, candidates) == pytest.approx(expected)
    assert abs(mean - expected) > 0.05


def test_bleu_refuses_lists_that_do_not_pair_up():
    with pytest.raises(ValueError, match="2 candidates against 1 references"):
        bleu4(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="at least one"):
        bleu4([], [])


def test_the_signature_is_sacrebleus_own():
    metric = BLEU(tokenize="13a", smooth_method="exp", force=True)
    metric.corpus_score(["a"], [["a"]])
    assert bleu_signature() == str(metric.get_signature())


def test_bleu_of_real_numbers_keeps_the_brevity_penalty():
    assert bleu_from_row([4, 3, 2, 1, 4, 3, 2, 1, 4, 8]) == pytest.approx(math.exp(-1))


# --- Intervals --------------------------------------------------------------------------------------------------------


def test_bootstrap_of_a_normal_sample_has_the_width_of_theory():
    values = np.random.default_rng(3).normal(0.7, 0.1, (400, 1))
    (interval,) = bootstrap_interval(values, resamples=4000)
    half = 1.96 * values.std() / math.sqrt(400)
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_bootstrap_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    # 300 test sets of 60 samples, as columns; each must hold the true mean 0.5 about 95 times in 100.
    intervals = bootstrap_interval(rng.uniform(0, 1, (60, 300)), resamples=1000)
    covered = sum(i.low <= 0.5 <= i.high for i in intervals)
    assert 0.90 * 300 <= covered <= 0.985 * 300


def test_bootstrap_is_the_same_for_the_same_seed_and_in_blocks():
    values = np.random.default_rng(1).random((5000, 2))
    assert bootstrap_interval(values, seed=5) == bootstrap_interval(values, seed=5)
    assert bootstrap_interval(values, seed=5) != bootstrap_interval(values, seed=6)
    assert all(i.low < i.mean < i.high for i in bootstrap_interval(values))


def test_bootstrap_of_one_value_has_no_width_and_of_none_is_refused():
    (interval,) = bootstrap_interval(np.full((7, 1), 0.25))
    assert interval == pytest.approx((0.25, 0.25, 0.25))
    with pytest.raises(ValueError, match="at least one row"):
        bootstrap_interval(np.zeros((0, 3)))


def test_share_interval_is_wilsons():
    # E. B. Wilson's bounds solve |p - share| = z sqrt(p (1 - p) / n).
    interval = share_interval(437, 500)
    assert interval.mean == 0.874
    for bound in (interval.low, interval.high):
        assert abs(bound - 0.874) == pytest.approx(1.959964 * math.sqrt(bound * (1 - bound) / 500), rel=1e-6)
    assert share_interval(20, 20) == (1, pytest.approx(20 / (20 + 1.959964**2)), 1)
    assert share_interval(0, 20) == (0, 0, pytest.approx(1.959964**2 / (20 + 1.959964**2)))
    with pytest.raises(ValueError, match="3 out of 2"):
        share_interval(3, 2)
