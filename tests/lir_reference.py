"""Reference figures of `lir`, the library of the Netherlands Forensic Institute.

pip install lir==1.3.1 && python tests/lir_reference.py > tests/data/lir_reference.json
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

COMMAND = "python tests/lir_reference.py > tests/data/lir_reference.json"
#: Mean and deviation of log10 likelihood ratios of either label, and how many clips of each.
CASES: dict[str, tuple[float, float, float, float, int, int]] = {
    "calibrated": (1.0, 0.93, -1.0, 0.93, 80, 60),
    "shifted": (2.2, 0.9, 0.4, 0.9, 40, 70),
    "overconfident": (4.0, 3.0, -4.0, 3.0, 60, 60),
    "separated": (3.0, 0.3, -3.0, 0.3, 12, 9),
    "worthless": (0.0, 1.0, 0.0, 1.0, 30, 30),
}


def scores(case: str) -> tuple[np.ndarray, np.ndarray]:
    """Log10 likelihood ratios with ties, and labels (1: positive)."""
    mean, deviation, other_mean, other_deviation, positive, negative = CASES[case]
    random = np.random.default_rng(sorted(CASES).index(case))
    drawn = [
        random.normal(mean, deviation, positive),
        random.normal(other_mean, other_deviation, negative),
    ]
    labels = np.repeat([1, 0], [positive, negative])
    return np.round(np.concatenate(drawn), 2), labels


def reference(case: str) -> dict[str, Any]:
    """What `lir` computes."""
    from lir.algorithms.bayeserror import elub
    from lir.algorithms.isotonic_regression import IsotonicCalibrator
    from lir.data.models import LLRData
    from lir.metrics import cllr, cllr_min

    values, labels = scores(case)
    data = LLRData(features=values.copy(), labels=labels)
    with np.errstate(divide="ignore"):
        pav = IsotonicCalibrator().fit_transform(values.copy(), labels)
        least = cllr_min(data)
    return {
        "log10_lr": values.tolist(),
        "labels": labels.tolist(),
        "cllr": float(cllr(data)),
        "cllr_min": float(least),
        "elub": [float(bound) for bound in elub(values.copy(), labels)],
        "pav": [str(value) for value in pav.tolist()],
    }


if __name__ == "__main__":
    cases = {case: reference(case) for case in CASES}
    print(json.dumps({"made_by": COMMAND, "lir": "1.3.1", "cases": cases}))
