"""Checkpoints as the paper's authors publish them: names, kinds, dimensions.

They are plain state dicts of PyTorch with fairseq's names for the front end. Nothing about their
dimensions is taken for granted but what tensors cannot say: strides of 5 and then 2, and as many
attention heads as the positional convolution has groups, which holds for every size of XLS-R.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from codecsleuth.errors import WeightsError
from codecsleuth.taxonomy import CLASSES, KINDS

if TYPE_CHECKING:
    from torch import Tensor

    from codecsleuth.models.w2v2_aasist import W2V2AasistConfig

    State = dict[str, Tensor]

_BRANCHES: Final = {
    "BIN": "binary_branch",
    "VQ": "multiclass_branch_qs",
    "AUX": "multiclass_branch_as",
    "DEC": "multiclass_branch_ds",
}
_TASK_OF_BRANCH: Final = {branch: task for task, branch in _BRANCHES.items()}
_FRONT_END: Final = "ssl_model.model."
_CONV: Final = "feature_extractor.conv_layers"
_POSITION: Final = "encoder.pos_conv_embed.conv.parametrizations.weight."

#: Tensors of the front end's pre-training, and its padding mask, which nothing reads afterwards.
UNUSED: Final = re.compile(r"ssl_model\.model\.(mask_emb$|quantizer\.|project_q\.|final_proj\.)")

Rules = tuple[tuple[re.Pattern[str], str], ...]


def _rules(*pairs: tuple[str, str]) -> Rules:
    return tuple((re.compile(pattern), own) for pattern, own in pairs)


#: Beginnings of published names and the network's own, by the part of the network they are in.
_IN_FRONT_END: Final = _rules(
    (rf"{_CONV}\.(\d+)\.0\.", rf"{_CONV}.\1.conv."),
    (rf"{_CONV}\.(\d+)\.2\.1\.", rf"{_CONV}.\1.layer_norm."),
    (r"layer_norm\.", "feature_projection.layer_norm."),
    (r"post_extract_proj\.", "feature_projection.projection."),
    (r"encoder\.pos_conv\.0\.bias$", "encoder.pos_conv_embed.conv.bias"),
    (r"encoder\.pos_conv\.0\.weight_g$", f"{_POSITION}original0"),
    (r"encoder\.pos_conv\.0\.weight_v$", f"{_POSITION}original1"),
    (r"encoder\.layers\.(\d+)\.self_attn\.", r"encoder.layers.\1.attention."),
    (r"encoder\.layers\.(\d+)\.self_attn_layer_norm\.", r"encoder.layers.\1.layer_norm."),
    (r"encoder\.layers\.(\d+)\.fc1\.", r"encoder.layers.\1.feed_forward.intermediate_dense."),
    (r"encoder\.layers\.(\d+)\.fc2\.", r"encoder.layers.\1.feed_forward.output_dense."),
    (r"encoder\.layers\.(\d+)\.final_layer_norm\.", r"encoder.layers.\1.final_layer_norm."),
    (r"encoder\.layer_norm\.", "encoder.layer_norm."),
)
_IN_TRUNK: Final = _rules(
    (r"LL\.", "projection."),
    (r"first_bn\.", "first_norm."),
    (r"first_bn1\.", "last_norm."),
    (r"encoder\.(\d+)\.0\.bn1\.", r"encoder.\1.unused_norm."),
    (r"encoder\.(\d+)\.0\.bn2\.", r"encoder.\1.norm."),
    (r"encoder\.(\d+)\.0\.conv1\.", r"encoder.\1.first."),
    (r"encoder\.(\d+)\.0\.conv2\.", r"encoder.\1.second."),
    (r"encoder\.(\d+)\.0\.conv_downsample\.", r"encoder.\1.shortcut."),
    (r"attention\.", "attention."),
)
_IN_BRANCH: Final = _rules(
    (r"pos_S$", "positions"),
    (r"GAT_layer_S\.", "spectral."),
    (r"GAT_layer_T\.", "temporal."),
    (r"pool_S\.", "spectral_pool."),
    (r"pool_T\.", "temporal_pool."),
    (r"pool_hS1\.", "paths.0.spectral_pool."),
    (r"pool_hT1\.", "paths.0.temporal_pool."),
    (r"pool_hS2\.", "paths.1.spectral_pool."),
    (r"pool_hT2\.", "paths.1.temporal_pool."),
    (r"master1$", "paths.0.stack"),
    (r"master2$", "paths.1.stack"),
    (r"HtrgGAT_layer_ST11\.", "paths.0.first."),
    (r"HtrgGAT_layer_ST12\.", "paths.0.second."),
    (r"HtrgGAT_layer_ST21\.", "paths.1.first."),
    (r"HtrgGAT_layer_ST22\.", "paths.1.second."),
    (r"out_layer\.", "read_out."),
)
_IN_LAYER: Final = {
    "proj": "score",
    "att_proj": "pair",
    "att_projM": "stack_pair",
    "att_weight": "pair_weight",
    "att_weight11": "temporal_weight",
    "att_weight22": "spectral_weight",
    "att_weight12": "across_weight",
    "att_weightM": "stack_weight",
    "proj_type1": "temporal",
    "proj_type2": "spectral",
    "proj_with_att": "attended",
    "proj_without_att": "own",
    "proj_with_attM": "stack_attended",
    "proj_without_attM": "stack_own",
    "bn": "norm",
}
_LAYER: Final = re.compile(rf"\b({'|'.join(_IN_LAYER)})(?=\.(weight|bias|running_|num_)|$)")


@dataclass(frozen=True)
class Converted:
    """A published checkpoint in this project's terms.

    Attributes:
        kind: key of `KINDS`.
        config: the network's settings, plain values.
        tensors: its state.
    """

    kind: str
    config: dict[str, Any]
    tensors: State

    @property
    def tasks(self) -> tuple[str, ...]:
        """The network's tasks."""
        return KINDS[self.kind]


def own_name(published: str) -> str | None:
    """The network's name of a published tensor; None for one that is not known."""
    first, _, rest = published.partition(".")
    if published.startswith(_FRONT_END):
        return _renamed(published.removeprefix(_FRONT_END), _IN_FRONT_END, "front_end.")
    if first not in _TASK_OF_BRANCH:
        return _renamed(published, _IN_TRUNK, "")
    renamed = _renamed(rest, _IN_BRANCH, f"branches.{_TASK_OF_BRANCH[first]}.")
    return renamed and _LAYER.sub(lambda found: _IN_LAYER[found[1]], renamed)


def _renamed(name: str, rules: Rules, prefix: str) -> str | None:
    for pattern, own in rules:
        if pattern.match(name):
            return prefix + pattern.sub(own, name, count=1)
    return None


def read_checkpoint(path: Path) -> Converted:
    """Read a checkpoint of the authors, or one in the same form, and run no code in it.

    Raises:
        WeightsError: it cannot be read, holds more than tensors, or they are not those of a
            W2V2-AASIST; one line that names them.
    """
    return convert(load_state(path), str(path))


def load_state(path: Path) -> State:
    """Read a state dict of PyTorch, and run no code in it.

    Raises:
        WeightsError: it cannot be read, or holds more than tensors.
    """
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's advice on odd files is not the user's concern
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: refused: not a plain checkpoint of tensors ({_reason(error)})"
        ) from error
    except Exception as error:  # a damaged file can fail anywhere in the reader
        raise WeightsError(f"{path}: not a checkpoint of PyTorch ({_reason(error)})") from error
    return _plain_state(loaded, path)


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _reason(error: Exception) -> str:
    """What the reader stumbled over, without its long advice to load it all the same."""
    found = re.search(r"(Unsupported (?:global|operand|class)[^\n.]*(?:\.\w+)*)", str(error))
    first = found[1] if found else next(iter(str(error).splitlines()), type(error).__name__)
    return first.strip()[:160]


def _plain_state(loaded: object, path: Path) -> State:
    """Take off a ``{"model": ...}`` wrapper and the prefix of ``DataParallel``."""
    from torch import Tensor

    if isinstance(loaded, dict) and isinstance(loaded.get("model"), dict):
        loaded = loaded["model"]
    if not isinstance(loaded, dict) or not loaded:
        raise WeightsError(f"{path}: holds no state dict")
    others = [str(name) for name, value in loaded.items() if not isinstance(value, Tensor)]
    if others:
        raise WeightsError(f"{path}: holds more than tensors: {_listed(others)}")
    prefix = "module."
    shared = all(str(name).startswith(prefix) for name in loaded)
    return {
        str(name).removeprefix(prefix) if shared else str(name): loaded[name] for name in loaded
    }


def convert(state: Mapping[str, Tensor], where: str) -> Converted:
    """Bring a published state dict into this project's terms.

    Raises:
        WeightsError: tensors are unknown, missing or of another shape; one line that names them.
    """
    used = {name: tensor for name, tensor in state.items() if not UNUSED.match(name)}
    own = {name: own_name(name) for name in used}
    _refuse(where, "unknown tensors", [name for name, renamed in own.items() if renamed is None])
    kind = _kind({name.split(".", 1)[0] for name in used} & set(_TASK_OF_BRANCH), where)
    shapes = {name: tuple(tensor.shape) for name, tensor in used.items()}
    config = _config(KINDS[kind], shapes, where)
    _compare(_expected_shapes(config), {str(own[name]): name for name in used}, shapes, where)
    tensors = {str(own[name]): _as_stored(tensor) for name, tensor in used.items()}
    return Converted(kind, asdict(config), tensors)


def _as_stored(tensor: Tensor) -> Tensor:
    return tensor.detach().float().contiguous() if tensor.is_floating_point() else tensor.detach()


def _kind(branches: set[str], where: str) -> str:
    tasks = {_TASK_OF_BRANCH[branch] for branch in branches}
    for kind, its_tasks in KINDS.items():
        if tasks == set(its_tasks):
            return kind
    if not branches:
        raise WeightsError(f"{where}: no branch of any task; not a W2V2-AASIST checkpoint")
    raise WeightsError(f"{where}: branches of {', '.join(sorted(tasks))}: none of the nine kinds")


def _config(
    tasks: tuple[str, ...], shapes: Mapping[str, tuple[int, ...]], where: str
) -> W2V2AasistConfig:
    """Read the network's dimensions from the tensors' shapes."""
    from codecsleuth.models.w2v2_aasist import FrontEndConfig, W2V2AasistConfig

    branch = _BRANCHES[tasks[0]]
    try:
        convolutions = _numbered(f"{_FRONT_END}{_CONV}.#.0.weight", shapes)
        width, group, kernel = shapes[f"{_FRONT_END}encoder.pos_conv.0.weight_v"]
        blocks = _numbered("encoder.#.0.conv1.weight", shapes)
        front_end = FrontEndConfig(
            channels=tuple(shape[0] for shape in convolutions),
            kernels=tuple(shape[2] for shape in convolutions),
            width=width,
            layers=len(_numbered(f"{_FRONT_END}encoder.layers.#.fc1.weight", shapes)),
            heads=width // group,
            feed_forward=shapes[f"{_FRONT_END}encoder.layers.0.fc1.weight"][0],
            position_kernel=kernel,
        )
        return W2V2AasistConfig(
            tasks=tasks,
            front_end=front_end,
            projection=shapes["LL.weight"][0],
            filters=tuple(shape[0] for shape in blocks),
            attention_hidden=shapes["attention.0.weight"][0],
            graph_widths=(
                shapes[f"{branch}.pos_S"][2],
                shapes[f"{branch}.HtrgGAT_layer_ST11.att_proj.weight"][0],
            ),
        )
    except KeyError as error:
        raise WeightsError(f"{where}: missing tensors: {error.args[0]}") from error
    except (IndexError, ValueError, ZeroDivisionError) as error:
        raise WeightsError(f"{where}: tensors with the wrong number of dimensions") from error


def _numbered(template: str, shapes: Mapping[str, tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Shapes of the tensors named by a template with 0, 1, 2, ... in the place of ``#``."""
    names = [template.replace("#", str(number)) for number in range(len(shapes))]
    found = [shapes[name] for name in takewhile(shapes.__contains__, names)]
    if not found:
        raise KeyError(names[0])
    return found


def _expected_shapes(config: W2V2AasistConfig) -> dict[str, tuple[int, ...]]:
    import torch

    from codecsleuth.models.w2v2_aasist import W2V2Aasist

    with torch.device("meta"):
        network = W2V2Aasist(config)
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _compare(
    expected: Mapping[str, tuple[int, ...]],
    published: Mapping[str, str],
    shapes: Mapping[str, tuple[int, ...]],
    where: str,
) -> None:
    """Refuse a checkpoint that is not the network, all of it and no more.

    Args:
        expected: shapes by the network's names.
        published: the checkpoint's names by the network's.
        shapes: by the checkpoint's names.
        where: for the message.
    """
    unknown = [name for own, name in published.items() if own not in expected]
    _refuse(where, "unknown tensors", unknown)
    _refuse(where, "missing tensors", [own for own in expected if own not in published])
    wrong = [
        f"{name} {shapes[name]}, not {expected[own]}"
        for own, name in published.items()
        if shapes[name] != expected[own]
    ]
    _refuse(where, "tensors of another shape", wrong)


def _refuse(where: str, problem: str, names: list[str]) -> None:
    if names:
        raise WeightsError(f"{where}: {problem}: {_listed(names)}")


def _listed(names: list[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def class_order(tasks: Iterable[str]) -> dict[str, list[str]]:
    """Class names per task, in the order of the logits."""
    return {task: list(CLASSES[task]) for task in tasks}
