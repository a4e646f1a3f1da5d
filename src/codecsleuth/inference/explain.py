"""Which evidence carried the answer: what each block of statistics added to the likelihood ratio.

The head of the compact network is linear in what it reads of each block, the quality calibration
scales that, the aggregation weighs windows, and the calibration is affine. So the log10 likelihood
ratio codec : bona fide is a sum: of one term a block, of what a clip with the mean statistics of
the training clips would get (``base``), and of what the limit takes away (``limit``).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from codecsleuth.arrays import LN10
from codecsleuth.calibration import BONA_FIDE, CODEC, Calibration, detection_log_odds
from codecsleuth.inference.aggregate import midmean_weights
from codecsleuth.inference.answer import Logits
from codecsleuth.inference.raw import RawAnswer

BASE: Final = "base"
LIMIT: Final = "limit"


def explain(raw: RawAnswer, logits: Logits, calibration: Calibration) -> dict[str, float]:
    """Terms that add up to the log10 likelihood ratio codec : bona fide, by block.

    Args:
        raw: what the network gave.
        logits: of the whole recording, as aggregated.
        calibration: of the model.

    Returns:
        A term per block, then `BASE` and `LIMIT`; nothing for a network without blocks.
    """
    each = [one.contributions for one in raw.windows if one.contributions is not None]
    if not raw.block_names or len(each) != len(raw.windows):
        return {}
    codec, real = (calibration.classes.index(name) for name in (CODEC, BONA_FIDE))
    contributed = np.stack([one[:, codec] - one[:, real] for one in each])
    odds = np.array(
        [
            detection_log_odds(one.logits["BIN"], calibration.classes, (CODEC,), (BONA_FIDE,))
            for one in raw.windows
        ]
    )
    weights = midmean_weights(odds, np.array([one.weight for one in raw.windows]))
    terms = calibration.bin_scale * (weights @ contributed) / LN10
    stated = float(calibration.log_odds(logits["BIN"])) / LN10
    unlimited = float(calibration.unlimited_log_odds(logits["BIN"])) / LN10
    return {
        **dict(zip(raw.block_names, terms.tolist(), strict=True)),
        BASE: unlimited - float(terms.sum()),
        LIMIT: stated - unlimited,
    }
