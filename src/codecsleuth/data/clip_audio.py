"""The audio of a labelled clip."""

from __future__ import annotations

import numpy as np

from codecsleuth.arrays import Samples
from codecsleuth.audio.recording import open_recording
from codecsleuth.data.items import Item
from codecsleuth.errors import AudioError, DataError


def read_clip(item: Item) -> Samples:
    """A clip as 16 kHz mono, ``(samples,)``.

    Raises:
        DataError: it cannot be read; names the file and its row in the table.
    """
    try:
        with open_recording(item.path) as recording:
            samples = np.concatenate(list(recording.samples()))
    except AudioError as error:
        raise DataError(f"{item.path} (row {item.row}): {error}") from error
    if not samples.any():
        raise DataError(f"{item.path} (row {item.row}): silent throughout")
    return samples
