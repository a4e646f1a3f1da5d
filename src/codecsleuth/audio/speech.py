"""Seconds of speech, by the voice activity detector of Silero (silero-vad, MIT licence).

Its weights come with its package. The package computes one frame of 32 ms at a time; here the same
network passes over many frames at once, which takes a fifteenth of the time and gives the same
probabilities.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from codecsleuth.arrays import Samples
from codecsleuth.audio.windows import SAMPLE_RATE

FRAME: Final = 512
_CONTEXT: Final = 64
_BINS: Final = 129
#: Frames that pass at once (16 s); the same for every way a recording is read in blocks.
_FRAMES_AT_ONCE: Final = 512
_STRIDES: Final = (1, 2, 2, 1)
#: Probability of a frame from which it is speech. Lower than for transcription: codecs garble
#: speech, while tones, hum, noise and music stay below a quarter.
_THRESHOLD: Final = 0.4
_SHORTEST_MS: Final = 100

Passage = tuple[float, float]


class SpeechMeter:
    """Finds speech in blocks of 16 kHz mono as they pass."""

    def __init__(self) -> None:
        self._network = _network()
        self._held = np.zeros(_CONTEXT, np.float32)
        self._state: tuple[Tensor, Tensor] | None = None
        self._probabilities: list[float] = []
        self._samples = 0

    def add(self, block: Samples) -> None:
        """Take a block ``(samples,)``."""
        self._samples += len(block)
        self._held = np.concatenate([self._held, block])
        size = _FRAMES_AT_ONCE * FRAME
        while len(self._held) >= size + _CONTEXT:
            self._pass(self._held[: size + _CONTEXT])
            self._held = self._held[size:]

    def passages(self) -> tuple[Passage, ...]:
        """Where there is speech, start and end in seconds; all blocks must have been taken."""
        from silero_vad.utils_vad import get_speech_timestamps_from_probs

        frames = -(-(len(self._held) - _CONTEXT) // FRAME)
        if frames > 0:
            rest = np.zeros(frames * FRAME + _CONTEXT, np.float32)
            rest[: len(self._held)] = self._held
            self._pass(rest)
            self._held = self._held[-_CONTEXT:]
        found = get_speech_timestamps_from_probs(
            self._probabilities,
            SAMPLE_RATE,
            threshold=_THRESHOLD,
            min_speech_duration_ms=_SHORTEST_MS,
            audio_length_samples=self._samples,
        )
        return tuple((one["start"] / SAMPLE_RATE, one["end"] / SAMPLE_RATE) for one in found)

    @torch.inference_mode()
    def _pass(self, samples: Samples) -> None:
        frames = torch.from_numpy(samples.copy()).unfold(0, FRAME + _CONTEXT, FRAME)
        probabilities, self._state = self._network(frames, self._state)
        self._probabilities += probabilities.tolist()


def seconds_of(passages: tuple[Passage, ...]) -> float:
    """How long passages are in all."""
    return sum(end - start for start, end in passages)


class _Detector(nn.Module):
    """The network of silero-vad 6 at 16 kHz, over a sequence of frames."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.basis = tensors["stft.forward_basis_buffer"]
        self.layers = [
            (
                tensors[f"encoder.{number}.reparam_conv.weight"],
                tensors[f"encoder.{number}.reparam_conv.bias"],
                stride,
            )
            for number, stride in enumerate(_STRIDES)
        ]
        self.memory = nn.LSTM(128, 128, batch_first=True)
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        self.memory.load_state_dict({f"{n}_l0": tensors[f"decoder.rnn.{n}"] for n in names})
        self.last = tensors["decoder.decoder.2.weight"][:, :, 0], tensors["decoder.decoder.2.bias"]

    def forward(
        self, frames: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Frames ``(frames, samples)`` with their context to probabilities ``(frames,)``."""
        padded = functional.pad(frames.unsqueeze(1), (0, _CONTEXT), mode="reflect")
        spectrum = functional.conv1d(padded, self.basis, stride=128)
        real, imaginary = spectrum[:, :_BINS], spectrum[:, _BINS:]
        hidden = (real.square() + imaginary.square()).sqrt()
        for weight, bias, stride in self.layers:
            hidden = functional.relu(functional.conv1d(hidden, weight, bias, stride, 1))
        sequence, state = self.memory(hidden.squeeze(-1).unsqueeze(0), state)
        logits = functional.linear(functional.relu(sequence[0]), *self.last)
        return logits[:, 0].sigmoid(), state


@cache
def _network() -> _Detector:
    with warnings.catch_warnings():
        # How the package loads its own weights is its own matter.
        warnings.simplefilter("ignore", DeprecationWarning)
        from silero_vad import load_silero_vad

        state = load_silero_vad().state_dict()
    tensors = {
        name.removeprefix("_model."): value
        for name, value in state.items()
        if name.startswith("_model.")
    }
    return _Detector(tensors).eval().requires_grad_(False)
