"""Answers made by hand, for tests of what is done with them."""

from __future__ import annotations

from typing import Any

from codecsleuth.audio.facts import Evidence
from codecsleuth.findings import finding
from codecsleuth.inference.answer import (
    Analysis,
    AxisAnswer,
    Candidate,
    FileError,
    Record,
    WindowAnswer,
)
from codecsleuth.report.header import Header

EVIDENCE = Evidence("ab" * 32, 128_044, "WAV", "PCM_16", 16_000, 1, 4.0, None, "libsndfile 1.2.2")


def axis(label: str, likeliest: str = "", **shares: float) -> AxisAnswer:
    likeliest = likeliest or label
    shares = {name.replace("_", " "): share for name, share in shares.items()}
    return AxisAnswer(label, likeliest, shares[likeliest], Record(shares))


def analysis(path: str = "a.wav", verdict: str = "codec", **changes: Any) -> Analysis:
    codec = changes.pop("codec_probability", 0.98765432)
    values: dict[str, Any] = {
        "path": path,
        "evidence": EVIDENCE,
        "verdict": verdict,
        "probabilities": Record({"codec": codec, "vocoder": None, "bona_fide": 1 - codec}),
        "log10_lr": 1.9,
        "log10_lr_neural": None,
        "log10_lr_limit": 4.0,
        "taxonomy": Record(
            vq=axis("MVQ", MVQ=0.7, SVQ=0.2, SQ=0.1),
            aux=axis(
                "Semantic distillation",
                **{"None": 0.3, "Semantic_distillation": 0.6, "Disentanglement": 0.1},
            ),
            dec=axis("Frequency", Time=0.2, Frequency=0.8),
        ),
        "familiarity": 0.62,
        "candidates": (
            Candidate("DAC", 0.62, Record(vq="MVQ", aux="None", dec="Time"), ("aux", "dec")),
            Candidate("Mimi", 0.21, Record(vq="MVQ"), ()),
        ),
        "passages": (),
        "windows": (WindowAnswer(0.0, 4.0375, 0.98), WindowAnswer(2.01875, 6.05625, 0.5)),
        "explanation": Record(),
        "findings": (finding("several_channels", channels=2),),
        "raw": {},
    }
    return Analysis(**{**values, **changes})


ERROR = FileError(
    "line\nbreak \x1b[1m[bold]名前.wav",
    "truncated",
    "cut short",
    Record(sha256="cd" * 32, bytes=99),
)
SEVERAL = [
    analysis("/a/rather/long/path/to/the/recordings/of/last/year/first, take.wav"),
    analysis("b.wav", "bona_fide", codec_probability=1e-9, log10_lr=-9.0),
    analysis("c.wav", "inconclusive", codec_probability=0.5, log10_lr=0.0, taxonomy=Record()),
    ERROR,
]
HEADER = Header(
    {
        "name": "compact",
        "version": "1",
        "sha256": "cd" * 32,
        "tasks": ["BIN", "VQ", "AUX", "DEC"],
        "classes": ["codec", "bona fide"],
    },
    {
        "sample_rate": 16_000,
        "window_s": 4.0375,
        "hop_s": 2.01875,
        "codec_threshold": 0.8,
        "bona_fide_threshold": 0.2,
        "device": "cpu",
        "precision": "float32",
    },
)
