"""A net under every change: the embedded model's answers, and what its front end measures."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import golden
from codecsleuth.models.compact import split_blocks
from codecsleuth.models.front_end import (
    COMB_EDGES,
    COMBS,
    FINE_BINS,
    SAMPLE_RATE,
    FrontEnd,
    multiples,
)

TIME = torch.arange(4 * SAMPLE_RATE + 600) / SAMPLE_RATE


def test_the_embedded_models_logits_are_the_recorded_ones() -> None:
    recorded = json.loads(golden.FILE.read_text(encoding="utf-8"))
    found = dict(golden.answers())
    assert found.keys() == recorded.keys()
    for name, logits in found.items():
        assert logits.keys() == recorded[name].keys()
        for task, values in logits.items():
            assert values == pytest.approx(recorded[name][task], abs=1e-3), (name, task)


def _noise() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).standard_normal(len(TIME))).float()


def _blocks(waveform: torch.Tensor) -> dict[str, torch.Tensor]:
    return split_blocks(FrontEnd()(waveform[None]))


@pytest.mark.parametrize("rate", [50.0, 75.0, 86.1328])
def test_an_envelope_modulated_at_a_frame_rate_lights_its_comb_and_no_other(rate: float) -> None:
    # A train of short bumps: all harmonics of the rate, as a decoder's frames leave them.
    bumps = (1 + torch.cos(2 * torch.pi * rate * TIME)).pow(6)
    combs = _blocks(0.1 * _noise() * (0.3 + bumps))["combs"][0, 0]
    lit = COMBS.index(multiples(rate, COMB_EDGES[0]))
    unrelated = [not any(_multiple(line, rate) for line in harmonics) for harmonics in COMBS]
    assert combs[lit] > 1.0
    assert combs[unrelated].max() < combs[lit] / 4


def _multiple(frequency: float, rate: float) -> bool:
    return abs(frequency - rate * round(frequency / rate)) < 1.5


def test_a_tone_stands_at_its_frequency_in_the_fine_structure_and_nowhere_else() -> None:
    frequency = 3_000.0
    tone = 0.02 * torch.sin(2 * torch.pi * frequency * TIME)
    mean = _blocks(0.1 * _noise() + tone)["fine"][0, 3]
    place = round(frequency / (SAMPLE_RATE / 2) * FINE_BINS) - 1
    assert abs(int(mean.argmax()) - place) <= 1
    others = torch.cat([mean[: place - 4], mean[place + 5 :]])
    assert mean.max() > 3 * others.abs().max()


def test_gain_and_polarity_change_nothing_that_is_measured() -> None:
    waveform = torch.from_numpy(golden.signals()["low voice"])[: len(TIME)]
    plain, louder, inverted = (FrontEnd()(x[None]) for x in (waveform, 4 * waveform, -waveform))
    torch.testing.assert_close(louder, plain, atol=2e-3, rtol=0)
    torch.testing.assert_close(inverted, plain, atol=2e-3, rtol=0)
