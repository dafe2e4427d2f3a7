"""Rows of a few lengths: one sample a row, the samples of a batch of about one length.

The alternative to packing: no sample shares a row, at the price of some padding. Every length is a shape, and so one
more compilation of the step; there are as many as the config says.
"""

from __future__ import annotations

import numpy as np

from vlsm_jax.data.packing import Rows

GRAIN = 32
"""Lengths of buckets are multiples of this: odd lengths are slow on accelerators."""


def bucket_lengths(lengths: np.ndarray, longest: int, buckets: int) -> np.ndarray:
    """Returns up to `buckets` row lengths, ascending, that pad the samples least.

    Exact: a dynamic program over multiples of `GRAIN`.

    Args:
      lengths: int [N], of the samples; none over `longest`.
      longest: limit of a row's length; a last bucket may be shorter.
      buckets: limit of their number.
    """
    edges = np.minimum(np.arange(1, -(-longest // GRAIN) + 1) * GRAIN, longest)
    edges = edges[: np.searchsorted(edges, lengths.max()) + 1]
    below = np.searchsorted(np.sort(lengths), edges, side="right")  # samples that fit below each edge
    # cost[e]: fewest positions for the samples up to edge e, with the buckets so far; the last of them ends at e.
    cost = below * edges
    choices = []
    for _ in range(min(buckets, len(edges)) - 1):
        # A bucket that ends at e after one that ends at s holds the samples between them.
        step = cost[:, None] + (below[None, :] - below[:, None]) * edges[None, :]
        step[np.tril_indices(len(edges))] = np.iinfo(np.int64).max
        best = step.argmin(axis=0)
        better = step[best, np.arange(len(edges))] < cost
        choices.append(np.where(better, best, -1))
        cost = np.where(better, step[best, np.arange(len(edges))], cost)
    ends = [len(edges) - 1]
    for choice in reversed(choices):
        if choice[ends[-1]] >= 0:
            ends.append(int(choice[ends[-1]]))
    return edges[ends[::-1]]


def fill_buckets(
    lengths: np.ndarray, edges: np.ndarray, batch: int, rng: np.random.Generator | None
) -> tuple[Rows, np.ndarray]:
    """Returns rows of one sample, in whole batches of one length each, and the length of every row.

    Every sample comes once. What is left of a bucket after its last whole batch goes into the next longer one; the very
    last batch is made whole with empty rows.

    Args:
      lengths: int [N], in the order of the epoch.
      edges: from `bucket_lengths`.
      batch: rows of a batch.
      rng: of the order of the batches; None leaves them in the order of their first samples.
    """
    bucket = np.searchsorted(edges, lengths)
    batches: list[tuple[int, np.ndarray]] = []
    left = np.empty(0, np.int64)
    for number, edge in enumerate(edges):
        members = np.sort(np.concatenate([left, np.flatnonzero(bucket == number)]))
        whole = len(members) // batch * batch
        batches += [(int(edge), part) for part in members[:whole].reshape(-1, batch)]
        left = members[whole:]
    if len(left):
        batches.append((int(edges[np.searchsorted(edges, lengths[left].max())]), left))
    order = (
        sorted(range(len(batches)), key=lambda i: batches[i][1][0]) if rng is None else rng.permutation(len(batches))
    )
    sizes = np.zeros(len(batches) * batch, np.int64)
    members = np.empty(len(lengths), np.int64)
    at = 0
    for place, i in enumerate(order):
        part = batches[i][1]
        members[at : at + len(part)] = part
        at += len(part)
        sizes[place * batch : place * batch + len(part)] = 1
    widths = np.repeat([batches[i][0] for i in order], batch)
    return Rows(members, np.concatenate([[0], np.cumsum(sizes)])), widths
