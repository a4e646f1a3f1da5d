"""A network with what is needed to state its answer.

The network's raw answer is kept apart from the final one: `Model.logits` is what calibration is
fitted on, `Model.analyze` what a person reads. The same audio gives the same answer to the last bit
whatever else runs: a window's logits depend on the kernel that computes them, and the kernel on
batch shape and thread count. So on a CPU windows pass one at a time, each on one thread, and
several at once only as several such passes; on a GPU they pass in batches of one fixed shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from numpy.typing import ArrayLike

from codecsleuth.arrays import FloatArray, Samples
from codecsleuth.audio.decode import Decoder, open_stream
from codecsleuth.audio.facts import WHOLE, Excerpt, Facts
from codecsleuth.audio.recording import Recording, array_recording, open_recording
from codecsleuth.audio.source import open_source
from codecsleuth.audio.windows import WINDOW_SAMPLES, Window, windows_between
from codecsleuth.calibration import UNFITTED, Calibration, bin_from_axes, detection_logits
from codecsleuth.errors import AudioError, UsageError, WeightsError
from codecsleuth.findings import Finding, finding
from codecsleuth.inference.answer import Analysis, Logits
from codecsleuth.inference.compute import (
    DEFAULT_DEVICE,
    DEFAULT_PRECISION,
    one_thread,
    pick_device,
    pick_precision,
)
from codecsleuth.inference.conclude import conclude
from codecsleuth.inference.raw import RawAnswer, WindowLogits
from codecsleuth.inference.recalibration import Recalibration
from codecsleuth.inference.timeline import STEPS, TIMELINE, needs_refining
from codecsleuth.taxonomy import AXES, CLASSES, CONTRIBUTIONS, DETECTION, FAMILY, OUTSIDE

if TYPE_CHECKING:
    import torch

    from codecsleuth.models.network import Network
    from codecsleuth.weights import WeightsFile

AudioInput = str | Path | ArrayLike
#: Applies a function to each of several things, one after the other or at the same time.
WindowList = list[WindowLogits]
Mapper = Callable[[Callable[[Sequence[Window]], WindowList], Iterable[Sequence[Window]]], Any]

#: Windows that are read before they are computed; bounds memory, does not touch the answer.
READ_AHEAD: Final = 8
#: Windows in a batch of a GPU; shorter batches are filled up, so that the shape never changes.
GPU_BATCH: Final = 16
#: A probability in half precision this near to a threshold is computed again in float32.
_DOUBT: Final = 0.02


@dataclass(frozen=True)
class Model:
    """A network with what is needed to state its answer.

    Attributes:
        network: float32 ``(batch, samples)`` at 16 kHz in, logits per task out; in eval mode.
        name: the model's name.
        version: version of its weights.
        sha256: hash of the weights file.
        tasks: the tasks that the network has.
        calibration: logits to probabilities and verdicts.
        device: where the network lives.
        precision: ``float32`` or ``bfloat16``.
        families: codec families that the network tells apart, in the order of its logits.
        training: what the weights say of how they came about.
        findings: what limits every answer of this model.
        recalibration: that a laboratory fitted, and that ``calibration`` has in it already.
    """

    network: torch.nn.Module
    name: str
    version: str
    sha256: str
    tasks: tuple[str, ...]
    calibration: Calibration
    device: str = DEFAULT_DEVICE
    precision: str = DEFAULT_PRECISION
    families: tuple[str, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    recalibration: Recalibration | None = None

    @classmethod
    def load(
        cls,
        name_or_path: str | Path = "compact",
        device: str = DEFAULT_DEVICE,
        *,
        precision: str = DEFAULT_PRECISION,
        offline: bool = False,
        calibration: str | Path | None = None,
        announce: Callable[[str], None] = lambda _: None,
    ) -> Model:
        """Load a model by name, or from a weights file.

        Args:
            name_or_path: which.
            device: ``cpu``, ``cuda``, ``mps`` or ``auto``.
            precision: ``float32``, ``bfloat16``, or ``auto`` for what the hardware does best.
            offline: do not download published weights that are not in the cache.
            calibration: file of a recalibration that ``codecsleuth validate`` wrote.
            announce: gets one line on what will be downloaded.

        Raises:
            UsageError: no such model or device, the network cannot compute in this precision, or
                the recalibration is not one for these weights.
            WeightsError: the weights are damaged, or cannot be downloaded.
        """
        from codecsleuth.weights import find_weights, read_weights

        device = pick_device(device)
        recalibration = None if calibration is None else Recalibration.read(calibration)
        path = find_weights(name_or_path, offline=offline, announce=announce)
        weights = read_weights(path)
        try:
            network = _network(weights)
            own = _calibration(weights, network)
        except (RuntimeError, TypeError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            raise WeightsError(f"{path}: the weights do not fit the network: {reason}") from error
        precision = pick_precision(network, precision, device)
        network.set_precision(precision)
        calibrated = weights.calibration != UNFITTED
        model = cls(
            network=network.to(device),  # type: ignore[attr-defined]
            name=weights.name,
            version=weights.version,
            sha256=weights.sha256,
            tasks=weights.tasks,
            calibration=own,
            device=device,
            precision=precision,
            families=tuple(weights.config.get("families", ())),
            training=weights.training,
            findings=() if calibrated else (finding("not_calibrated"),),
        )
        return model if recalibration is None else model.with_calibration(recalibration)

    def with_calibration(self, recalibration: Recalibration) -> Model:
        """The same model, recalibrated; every answer names the recalibration.

        Raises:
            UsageError: it is for other weights, or the model is recalibrated already.
        """
        wanted = recalibration.model
        if wanted["sha256"] != self.sha256:
            raise UsageError(
                f"the calibration is for other weights: {wanted['name']} {wanted['version']} "
                f"({wanted['sha256'][:12]}...), not for {self.name} {self.version} "
                f"({self.sha256[:12]}...); fit one for these by validate --calibration-out"
            )
        if self.recalibration is not None:
            raise UsageError("the model is recalibrated already; load it anew")
        calibration = recalibration.applied(self.calibration)
        return replace(self, calibration=calibration, recalibration=recalibration)

    def analyze(self, audio: AudioInput, sample_rate: int | None = None) -> Analysis:
        """Analyse a file, or samples in memory.

        Args:
            audio: a path; or samples ``(frames,)`` or ``(frames, channels)``, see
                `codecsleuth.audio.recording.array_recording`.
            sample_rate: of the samples, in hertz.

        Raises:
            AudioError: the audio cannot be analysed.
        """
        if isinstance(audio, (str, Path)):
            _refuse_rate(sample_rate)
            return self.analyze_file(str(audio))
        return self._concluded("", lambda exact: self._examine_array(audio, sample_rate, exact))

    def analyze_file(
        self,
        path: str,
        excerpt: Excerpt = WHOLE,
        *,
        mapper: Mapper = map,
        decoder: Decoder = open_stream,
    ) -> Analysis:
        """Analyse a file, or a part of it.

        Args:
            path: of the file.
            excerpt: which part.
            mapper: how several windows are computed; does not touch the answer.
            decoder: what decodes the file; does not touch the answer.

        Raises:
            AudioError: the audio cannot be analysed.
        """
        # Opened once, however often it is computed: what is piped in cannot be read again, and a
        # file may be another one by then.
        with open_source(path) as source:

            def examine(exact: bool) -> RawAnswer:
                with open_recording(source, excerpt, decoder) as recording:
                    return self._examine(recording, mapper, exact)

            return replace(self._concluded(path, examine), excerpt=excerpt)

    def logits(self, audio: AudioInput, sample_rate: int | None = None) -> Logits:
        """Uncalibrated logits ``(classes,)`` per task of a whole file or array.

        Raises:
            AudioError: the audio cannot be analysed.
        """
        return self.analyze(audio, sample_rate).raw

    def _concluded(self, path: str, examine: Callable[[bool], RawAnswer]) -> Analysis:
        answer = conclude(path, examine(False), self.calibration, self.families)
        if self.precision != "float32" and self._too_close(answer):
            answer = conclude(path, examine(True), self.calibration, self.families)
        return answer

    def _too_close(self, answer: Analysis) -> bool:
        """Whether a rounded probability is near a threshold, so that rounding could decide."""
        known = {name: p for name, p in answer.probabilities.items() if p is not None}
        return self.calibration.margin(known) < _DOUBT

    def _examine_array(self, audio: Any, sample_rate: int | None, exact: bool) -> RawAnswer:
        return self._examine(array_recording(audio, sample_rate), map, exact)

    def _examine(self, recording: Recording, mapper: Mapper, exact: bool) -> RawAnswer:
        scorer = _WindowScorer(self, mapper, exact)
        facts = recording.read(scorer.take)
        return scorer.answer(facts)

    def may_change(self, one: Logits, other: Logits) -> bool:
        """Whether a recording may change its kind between two windows, by their logits."""
        odds = [float(self.calibration.trace_log_odds(detection_logits(of))) for of in (one, other)]
        return needs_refining(odds[0], odds[1], TIMELINE)

    def window_logits(self, windows: Sequence[Samples], *, exact: bool = False) -> list[Logits]:
        """Logits ``(classes,)`` per task of each of several windows ``(samples,)`` at 16 kHz.

        ``FAMILY`` stands beside the tasks for a network that tells codec families apart. A model of
        all axes that has no ``BIN`` of its own is given one; see `bin_from_axes`.
        """
        return [self.logits_of(row) for row in self.window_outputs(windows, exact=exact)]

    def window_outputs(
        self, windows: Sequence[Samples], *, exact: bool = False
    ) -> list[dict[str, FloatArray]]:
        """All that the network gives for each of several windows ``(samples,)`` at 16 kHz.

        As `codecsleuth.models.network.Network.outputs`, without the batch.
        """
        import torch

        size = 1 if self.device == "cpu" else GPU_BATCH
        starts = range(0, len(windows), size)
        with torch.inference_mode(), one_thread():
            return [
                {name: values[row] for name, values in outputs.items()}
                for batch in (windows[start : start + size] for start in starts)
                for outputs in [self._outputs(batch, size, exact)]
                for row in range(len(batch))
            ]

    def _outputs(self, windows: Sequence[Samples], size: int, exact: bool) -> dict[str, FloatArray]:
        import torch

        # A copy in torch's own memory: kernels may choose by alignment.
        waveforms = torch.zeros(size, WINDOW_SAMPLES, dtype=torch.float32)
        for row, samples in enumerate(windows):
            waveforms[row] = torch.from_numpy(np.array(samples))
        network = cast("Network", self.network)
        outputs = network.outputs(waveforms.to(self.device), exact=exact)
        return {name: values.double().cpu().numpy() for name, values in outputs.items()}

    def logits_of(self, outputs: Mapping[str, FloatArray]) -> Logits:
        """The logits among a window's outputs; see `window_logits`."""
        logits = {name: outputs[name] for name in (*self.tasks, FAMILY) if name in outputs}
        if logits.keys() - {FAMILY} == set(AXES):
            return {"BIN": bin_from_axes({axis: logits[axis] for axis in AXES}), **logits}
        return logits


class _WindowScorer:
    """Takes windows as they are read, computes them in groups, and holds their logits.

    Where two neighbouring windows differ as if the recording changed between them, windows in
    between are computed too, from the samples of the two.
    """

    def __init__(self, model: Model, mapper: Mapper, exact: bool) -> None:
        self._model, self._mapper, self._exact = model, mapper, exact
        self._waiting: list[Window] = []
        self._scored: list[WindowLogits] = []
        self._between: list[WindowLogits] = []
        self._last: tuple[Window, WindowLogits] | None = None

    def take(self, window: Window) -> None:
        """Take the next window."""
        self._waiting.append(window)
        if len(self._waiting) == READ_AHEAD:
            self._compute()

    def answer(self, facts: Facts) -> RawAnswer:
        """All windows' logits, with what reading the recording has shown."""
        self._compute()
        return RawAnswer(
            evidence=facts.evidence,
            windows=tuple(self._scored),
            findings=(*facts.findings, *self._model.findings),
            block_names=cast("Network", self._model.network).block_names,
            between=tuple(self._between),
            speech=facts.speech,
        )

    def _compute(self) -> None:
        scored = self._score(self._waiting)
        pairs = list(zip(self._waiting, scored, strict=True))
        if self._last is not None:
            pairs.insert(0, self._last)
        between = [
            window
            for one, other in pairwise(pairs)
            if self._model.may_change(one[1].logits, other[1].logits)
            for window in windows_between(one[0], other[0], STEPS)
        ]
        self._scored += scored
        self._between += self._score(between)
        self._last = pairs[-1] if pairs else None
        self._waiting = []

    def _score(self, windows: Sequence[Window]) -> list[WindowLogits]:
        size = 1 if self._model.device == "cpu" else GPU_BATCH
        groups = [windows[i : i + size] for i in range(0, len(windows), size)]
        return [one for scored in self._mapper(self._compute_group, groups) for one in scored]

    def _compute_group(self, windows: Sequence[Window]) -> list[WindowLogits]:
        samples = [window.samples for window in windows]
        each = self._model.window_outputs(samples, exact=self._exact)
        return list(map(self._window, windows, each))

    def _window(self, window: Window, outputs: Mapping[str, FloatArray]) -> WindowLogits:
        logits = self._model.logits_of(outputs)
        if not all(np.isfinite(values).all() for values in logits.values()):
            raise AudioError("not_finite", "the sample values are beyond what can be computed with")
        return WindowLogits(
            start_s=window.start_s,
            end_s=window.end_s,
            weight=window.weight,
            logits=logits,
            contributions=outputs.get(CONTRIBUTIONS),
            outside=float(outputs[OUTSIDE]) if OUTSIDE in outputs else None,
        )


def _refuse_rate(sample_rate: int | None) -> None:
    if sample_rate is not None:
        raise AudioError("sample_rate", "a file states its own sample rate; leave sample_rate out")


def _network(weights: WeightsFile) -> Network:
    from codecsleuth.models.network import build_network

    network: Any = build_network(weights.architecture, weights.config)
    unfilled = any(tensor.is_meta for tensor in network.parameters())
    network.load_state_dict(weights.tensors, strict=True, assign=unfilled)
    found: Network = network.float().eval().requires_grad_(False)
    return found


def _calibration(weights: WeightsFile, network: Network) -> Calibration:
    """The calibration that the weights state, for the classes that they state.

    Raises:
        ValueError: the classes are not those that this version knows, or not the network's.
    """
    for task, names in weights.classes.items():
        known = DETECTION if task == "BIN" else CLASSES[task]
        if not set(names) <= set(known) or (task != "BIN" and tuple(names) != known):
            raise ValueError(f"classes of {task} {names} are not among {list(known)}")
        if network.widths[task] != len(names):
            raise ValueError(f"{network.widths[task]} logits of {task} for {len(names)} classes")
    fitted = weights.calibration != UNFITTED
    calibration = Calibration.from_dict(weights.calibration) if fitted else Calibration()
    # A model of the axes alone has the paper's two classes; see `bin_from_axes`.
    return replace(calibration, classes=tuple(weights.classes.get("BIN", CLASSES["BIN"])))
