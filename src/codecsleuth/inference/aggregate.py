"""From the logits of windows to those of the recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from codecsleuth.arrays import FloatArray, log_softmax
from codecsleuth.inference.answer import Logits


def midmean(values: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """Interquartile mean over the first axis: the mean of the middle half of the sorted values.

    Values at the edges of the middle half count by the part that lies in it, so the result moves
    smoothly from the mean (two values) to what no quarter of the values can move far.

    Args:
        values: ``(n, ...)``.
        weights: ``(n,)``, positive; by default all alike.

    Returns:
        ``(...)``.
    """
    return cast(FloatArray, (values * midmean_weights(values, weights)).sum(axis=0))


def midmean_weights(values: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """How much each value counts in `midmean`: the same shape, sums of 1 over the first axis.

    Args:
        values: ``(n, ...)``.
        weights: ``(n,)``, positive; by default all alike.
    """
    shares = np.ones(len(values)) if weights is None else np.asarray(weights, np.float64)
    order = np.argsort(values, axis=0, kind="stable")
    edges = np.cumsum(shares[order], axis=0) / shares.sum()
    inside = np.clip(np.concatenate([np.zeros_like(edges[:1]), edges]), 0.25, 0.75)
    counted = np.empty_like(edges)
    np.put_along_axis(counted, order, np.diff(inside, axis=0) / 0.5, axis=0)
    return cast(FloatArray, counted)


def aggregate(windows: Sequence[Logits], weights: Sequence[float] | None = None) -> Logits:
    """Logits of a recording from those of its windows.

    Each task's is the midmean of log-probabilities relative to the last class, so that one odd
    window decides nothing; for two classes that is the midmean of the log-odds. All are normalised:
    log-probabilities whose differences are the log-odds.

    Args:
        windows: per window the logits ``(classes,)`` of each task.
        weights: how much each window counts, ``(windows,)``; by default all alike.
    """
    shares = None if weights is None else np.asarray(weights, np.float64)
    return {
        task: _aggregate(task, np.stack([window[task] for window in windows]), shares)
        for task in windows[0]
    }


def _aggregate(task: str, logits: FloatArray, weights: FloatArray | None) -> FloatArray:
    if task == "BIN":
        # Relative to the last class, bona fide: its log-odds are what is averaged.
        return log_softmax(midmean(logits - logits[:, -1:], weights))
    return log_softmax(midmean(log_softmax(logits), weights))
