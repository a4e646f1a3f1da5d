"""A miniature CodecFake+ of made-up clips, in both layouts, with the oddities of the real one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from conftest import speech_like

#: Utterances by the paper's split.
UTTERANCES: Final = {
    "train": ("p225_001", "p225_002", "p230_001", "p376_295", "s5_180", "s5_181"),
    "dev": ("p226_001", "p226_002", "p229_001"),
    "test": ("p227_001", "p228_001", "p228_241"),
}
#: Names as the lists spell them; VQ, AUX, DEC in the lists' words.
CODECS: Final = {
    "vocos_encodec_6": ("MVQ", "Trad", "FREQ"),
    "Encodec_6b24k": ("MVQ", "Trad", "TIME"),
    "bigcodec": ("SVQ", "Trad", "TIME"),
    "spectralcodecs": ("SQ", "Trad", "FREQ"),
    "SemantiCodec_1.40kbps_16k": ("MVQ", "SEM", "FREQ"),
    "xcodec_hubert_libirispeech": ("MVQ", "SEM", "TIME"),
    "ticodec_1g1r": ("SVQ", "Disent", "TIME"),
    "socodec_16384x4_120ms_16khz_chinese": ("MVQ", "Disent", "FREQ"),
}
#: How the audio's name differs from the lists'.
ON_DISK: Final = {"xcodec_hubert_libirispeech": "xcodec_hubert_librispeech"}
#: VQ, AUX, DEC of each system, and the stems of its clips, bona fide first.
SYSTEMS: Final = {
    "VALLE": (("MVQ", "Trad", "TIME"), ("sample_1_ref", "sample_1", "clip_2_ref", "clip_2")),
    "NS3": (("MVQ", "Disent", "TIME"), ("sample_1_ref", "sample_1")),
    "MASKGCT": (("MVQ", "Trad", "FREQ"), ("b-1", "g-1", "b-2", "g-2")),
    "SIMPLESPEECH1": (("SQ", "Trad", "TIME"), ("0_gt", "0_ours")),
    "SINGLECODEC": (("SVQ", "Disent", "FREQ"), ("p300_314_mic1", "p300_314_mic1-libritts_7150")),
    "USLM": (("MVQ", "SEM", "TIME"), ("1_gt", "1_ours")),
}
UNSEEN: Final = ("MASKGCT", "NS2", "SINGLECODEC")
_NO_CODEC: Final = ("REAL", "REAL", "REAL")
_HUB_WORDS: Final = {"Trad": "None", "SQ": "Scq", "FREQ": "Freq", "TIME": "Time", "REAL": "Real"}


def make_codecfake(
    folder: Path,
    layout: str = "authors",
    *,
    lists: bool = True,
    audio: bool = True,
    missing: Iterable[str] = (),
    seconds: float = 0.8,
) -> Path:
    """Write ``folder`` as a CodecFake+ and return it: 12 utterances by 8 codecs, 16 CoSG clips.

    Args:
        folder: to be made; ``CodecFake+`` by name if its parent is to be given as ``--data``.
        layout: ``authors`` (``all_data_16k``, ``SLMdemos_16k/SYSTEM``) or ``huggingface``
            (``Codecfake_plus_CoRS``, ``CoSG`` and their label files).
        lists: with the official lists, or the release's label files.
        audio: with audio.
        missing: stems whose audio is left out.
        seconds: of each clip.
    """
    authors = layout == "authors"
    folder.mkdir(parents=True, exist_ok=True)
    if audio:
        left_out = set(missing)
        cors = folder / ("all_data_16k" if authors else "Codecfake_plus_CoRS")
        for number, (stem, codec) in enumerate(_cors_clips()):
            if stem not in left_out:
                suffix = "flac" if authors and number % 5 == 0 else "wav"
                _write(cors / f"{stem}.{suffix}", number, codec, seconds)
        for number, (system, stem, hub_stem, codec) in enumerate(_cosg_clips()):
            name = f"SLMdemos_16k/{system}/{stem}" if authors else f"CoSG/{hub_stem}"
            if stem not in left_out and hub_stem not in left_out:
                _write(folder / f"{name}.{('wav', 'flac')[number % 2]}", number, codec, seconds)
    if lists:
        for name, text in (_authors_lists() if authors else _hub_labels()).items():
            (folder / name).write_bytes(text.encode())
    return folder


def _cors_clips() -> list[tuple[str, str]]:
    """Stem on disk, and codec ("" for bona fide), of every CoRS clip."""
    utterances = [utterance for split in UTTERANCES.values() for utterance in split]
    coded = [(f"{u}_{ON_DISK.get(codec, codec)}", codec) for u in utterances for codec in CODECS]
    return [(utterance, "") for utterance in utterances] + coded


def _cosg_clips() -> list[tuple[str, str, str, str]]:
    """System, stem, the release's name, and system once more ("" for bona fide)."""
    return [
        (system, stem, f"{system}_{number}", "" if number % 2 else system)
        for system, (_, stems) in SYSTEMS.items()
        for number, stem in enumerate(stems, 1)
    ]


def _authors_lists() -> dict[str, str]:
    lists = {f"{split}_mult_learn.txt": _paired(split) for split in UTTERANCES}
    lists["CoRS_ALL.txt"] = _cors_all()
    rows = [_cosg_row(number, *clip[:2], clip[3]) for number, clip in enumerate(_cosg_clips())]
    # A space too many at the end, and no line end after it.
    lists["CoSG_ALL.txt"] = "\n".join(rows) + " "
    seen = [row for row in rows if row.split()[0] not in UNSEEN]
    lists["CoSG_SEEN.txt"] = "\n".join(seen) + "\n"
    return lists


def _paired(split: str) -> str:
    """Each bona fide clip and one codec version of it, dealt round."""
    lines = []
    for number, utterance in enumerate(UTTERANCES[split]):
        codec = list(CODECS)[3 * number % len(CODECS)]
        vq, aux, dec = CODECS[codec]
        speaker = utterance.split("_")[0]
        lines.append(f"{speaker} {utterance} - REAL REAL REAL bonafide")
        lines.append(f"{speaker} {utterance}_{codec} - {aux} {dec} {vq} spoof")
    return "\n".join(lines) + "\n"


def _cors_all() -> str:
    lines = []
    for utterance in UTTERANCES["test"]:
        speaker = utterance.split("_")[0]
        lines += [f"{speaker} {utterance}_{codec} - - spoof" for codec in CODECS]
        lines.append(f"{speaker} {utterance} - - bonafide")
    text = "\n".join(lines) + "\n"
    return text.replace("p228_241_vocos_encodec_6 - - spoof", "p228_241_vocos_encodec_6 - - spoofs")


def _cosg_row(number: int, system: str, stem: str, codec: str) -> str:
    """Four columns for some systems, five for others, some with the VQ class."""
    vq = SYSTEMS[system][0][0] if codec else "REAL"
    middle = {"VALLE": "-", "MASKGCT": "- -"}.get(system, f"- {vq}")
    return f"{system} {stem} {middle} {'spoof' if codec else 'bonafide'}"


def _hub_labels() -> dict[str, str]:
    cors = [
        f"{stem.split('_')[0]} {stem}.wav {'spoof' if codec else 'bonafide'}"
        for stem, codec in sorted(_cors_clips())
    ]
    cosg = []
    for system, _, stem, codec in _cosg_clips():
        classes = SYSTEMS[system][0] if codec else _NO_CODEC
        words = " ".join(_HUB_WORDS.get(word, word.capitalize()) for word in classes)
        cosg.append(f"{system} {stem} {words} {'Spoof' if codec else 'bonafide'}")
    return {
        "CoRS_labels.txt": "\n".join(cors) + "\n",
        "CoSG_labels.txt": "Model ClipID QUA AUX DEC Label\n" + "\n".join(cosg) + "\n",
    }


def _write(path: Path, number: int, codec: str, seconds: float) -> None:
    """Something like speech; with noise of its codec's own strength if it has a codec."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = speech_like(seconds, seed=number)
    if codec:
        loudness = 0.01 * (1 + [*CODECS, *SYSTEMS].index(codec))
        noise = np.random.default_rng(number).standard_normal(len(samples))
        samples = samples + (loudness * noise).astype(np.float32)
    soundfile.write(path, samples, 16_000)
