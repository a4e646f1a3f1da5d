"""The pretrained front end that training begins with: XLS-R in the form of transformers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from codecsleuth.errors import WeightsError
from codecsleuth.weights import cache
from codecsleuth.weights.fetch import obtain
from codecsleuth.weights.hub import silent
from codecsleuth.weights.published import load_state
from codecsleuth.weights.registry import Published
from codecsleuth.weights.store import WeightsFile, read_weights

if TYPE_CHECKING:
    from torch import Tensor

    from codecsleuth.models.w2v2_aasist import FrontEndConfig

    State = dict[str, Tensor]

#: Babu et al., "XLS-R" (arXiv 2111.09296). The revision holds a pickle, which is read as tensors
#: only, checked by its hash and kept as safetensors.
XLS_R: Final = Published(
    name="xls-r-300m",
    kind="",
    balance="",
    repository="facebook/wav2vec2-xls-r-300m",
    revision="1a640f32ac3e39899438a2931f9924c02f080a54",
    file="pytorch_model.bin",
    gigabytes=1.27,
    licence="Apache-2.0",
)
SHA256: Final = "d5e490574712ad0a6736923b9ed11d4cd51c78609c36205f704fc4e87b11d2e0"

_FILES: Final = ("model.safetensors", "pytorch_model.bin")
_UNUSED: Final = re.compile(r"masked_spec_embed$|quantizer\.|project_hid\.|project_q\.|lm_head\.")
_POSITION: Final = "encoder.pos_conv_embed.conv."
_RENAMED: Final = {
    f"{_POSITION}weight_g": f"{_POSITION}parametrizations.weight.original0",
    f"{_POSITION}weight_v": f"{_POSITION}parametrizations.weight.original1",
}


def pretrained(
    folder: Path | None = None,
    *,
    offline: bool = False,
    announce: Callable[[str], None] = silent,
) -> tuple[FrontEndConfig, State]:
    """A pretrained front end: its dimensions, and its tensors by the network's names.

    Args:
        folder: with ``model.safetensors`` or ``pytorch_model.bin`` in the form of transformers;
            by default XLS-R 300M from the cache, downloaded on first use.
        offline: never use the network.
        announce: told in one line what will be downloaded.

    Raises:
        WeightsError: it cannot be had, or is no wav2vec 2.0 of this kind.
    """
    if folder is None:
        state, where = _xls_r(offline, announce), XLS_R.name
    else:
        state, where = _from_folder(folder), str(folder)
    return _config(state, where), state


def _xls_r(offline: bool, announce: Callable[[str], None]) -> State:
    with cache.locked(XLS_R.name):
        path = cache.cached(XLS_R.name)
        if path is None:
            with obtain(XLS_R, offline, announce) as (file, declared):
                if declared.digest != SHA256:
                    raise WeightsError(f"{XLS_R.name}: the hub's file is not the one expected")
                path = cache.keep(XLS_R.name, _as_weights(_plain(load_state(file))))
    return read_weights(path).tensors


def _as_weights(state: State) -> WeightsFile:
    source = f"{XLS_R.repository}/{XLS_R.file}"
    facts = {"source": source, "revision": XLS_R.revision, "sha256_of_original": SHA256}
    version = XLS_R.revision[:12]
    return WeightsFile(XLS_R.name, version, "wav2vec2", {}, (), {}, {}, facts, state)


def _from_folder(folder: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = next((folder / name for name in _FILES if (folder / name).is_file()), None)
    if path is None:
        raise WeightsError(f"{folder}: neither {_FILES[0]} nor {_FILES[1]} in this folder")
    try:
        return _plain(load_state(path) if path.suffix == ".bin" else load_file(path))
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be read ({error})") from error


def _plain(state: Mapping[str, Tensor]) -> State:
    """Leave out what is for pre-training alone, and the prefix of a network around it."""
    named = {name.removeprefix("wav2vec2."): tensor for name, tensor in state.items()}
    return {
        _RENAMED.get(name, name): tensor.float().contiguous()
        for name, tensor in named.items()
        if not _UNUSED.match(name)
    }


def _config(state: Mapping[str, Tensor], where: str) -> FrontEndConfig:
    from codecsleuth.models.w2v2_aasist import FrontEndConfig

    convolution = "feature_extractor.conv_layers.{}.conv.weight"
    layer = "encoder.layers.{}.feed_forward.intermediate_dense.weight"
    try:
        width, group, kernel = state[_RENAMED[f"{_POSITION}weight_v"]].shape
        convolutions = [state[name].shape for name in _numbered(convolution, state)]
        return FrontEndConfig(
            channels=tuple(shape[0] for shape in convolutions),
            kernels=tuple(shape[2] for shape in convolutions),
            width=width,
            layers=len(_numbered(layer, state)),
            heads=width // group,
            feed_forward=state[layer.format(0)].shape[0],
            position_kernel=kernel,
        )
    except (KeyError, IndexError, ValueError) as error:
        raise WeightsError(f"{where}: not a wav2vec 2.0 network: no usable {error}") from error


def _numbered(template: str, state: Mapping[str, Tensor]) -> list[str]:
    names = [template.format(number) for number in range(len(state))]
    return [name for name in names if name in state]
