"""From a recording to an answer: windows, the network's logits, their middle, calibration.

The network's raw answer is kept apart from the final one: `Model.logits` is what calibration is
fitted on, `Model.analyze` what a person is told. The same audio gives the same answer to the last
bit whatever else runs: a window's logits depend on the kernel that computes them, and the kernel on
batch shape and thread count, so windows pass one at a time, each on one thread, and several windows
or files at once only as several such passes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from codecsleuth.arrays import LN10, FloatArray, sigmoid, softmax
from codecsleuth.audio.recording import (
    Evidence,
    Recording,
    Samples,
    Window,
    array_recording,
    open_recording,
)
from codecsleuth.calibration import (
    UNFITTED,
    UNKNOWN,
    Calibration,
    Verdict,
    bin_from_axes,
    familiarity,
)
from codecsleuth.errors import AudioError, WeightsError
from codecsleuth.taxonomy import AXES, BIN_BONA_FIDE, BIN_CODEC, CLASSES, FAMILY, family_class

if TYPE_CHECKING:
    import torch

    from codecsleuth.weights import WeightsFile

Logits = Mapping[str, FloatArray]
AudioInput = str | Path | NDArray[Any]

#: Windows read ahead for each file; bounds memory, does not touch the answer.
DEFAULT_BATCH: Final = 8
#: Share of the windows that must contradict the others to be worth a warning.
_DISSENT_SHARE: Final = 0.2
_AHEAD_PER_WORKER: Final = 16
#: Codec families that an answer names.
CANDIDATES: Final = 5
NOT_CALIBRATED: Final = "this model's probabilities are as its authors trained them: not calibrated"


@dataclass(frozen=True)
class WindowLogits:
    """The network's raw answer for one window: logits ``(classes,)`` per task."""

    start_s: float
    end_s: float
    logits: Logits


@dataclass(frozen=True)
class RawAnswer:
    """All the network said of a recording, before aggregation and calibration."""

    evidence: Evidence
    windows: tuple[WindowLogits, ...]
    warnings: tuple[str, ...]

    def logits(self) -> dict[str, FloatArray]:
        """Logits of the whole recording, ``(classes,)`` per task; see `aggregate`."""
        return aggregate([window.logits for window in self.windows])


@dataclass(frozen=True)
class Segment:
    """The calibrated codec probability of one window."""

    start_s: float
    end_s: float
    codec_probability: float


@dataclass(frozen=True)
class AxisAnswer:
    """One taxonomy axis, given that there was a codec.

    Attributes:
        label: the most probable class, or ``unknown`` where the codec is like none the model has
            met and no class is clearly the most probable.
        probability: of the most probable class.
        probabilities: of every codec class of the axis.
    """

    label: str
    probability: float
    probabilities: dict[str, float]


@dataclass(frozen=True)
class Candidate:
    """A codec family of the catalogue that the evidence would fit, given that there was a codec.

    Attributes:
        codec: name of the family.
        score: its probability among the families the model knows.
        taxonomy: its class per axis (``vq``, ``aux``, ``dec``), where that is certain.
        disagrees: axes on which the answer is another class.
    """

    codec: str
    score: float
    taxonomy: dict[str, str]
    disagrees: tuple[str, ...]


@dataclass(frozen=True)
class Analysis:
    """The answer for one recording.

    Attributes:
        path: as given; empty for samples in memory.
        evidence: what was examined.
        verdict: ``codec``, ``bona_fide`` or ``inconclusive``.
        codec_probability: calibrated, at even prior odds.
        log10_lr: log10 likelihood ratio codec : bona fide.
        taxonomy: per axis (``vq``, ``aux``, ``dec``), conditional on "codec" whatever the verdict.
        familiarity: 0 to 1, how clearly the codec is one of those the model has met; likewise
            conditional. None for a model that cannot tell.
        candidates: the likeliest codec families, likeliest first; likewise conditional.
        segments: one per window.
        warnings: what limits the answer.
        raw: the logits behind it.
    """

    path: str
    evidence: Evidence
    verdict: Verdict
    codec_probability: float
    log10_lr: float
    taxonomy: dict[str, AxisAnswer]
    familiarity: float | None
    candidates: tuple[Candidate, ...]
    segments: tuple[Segment, ...]
    warnings: tuple[str, ...]
    raw: Logits


@dataclass(frozen=True)
class FileError:
    """Why there is no answer for a file; ``kind`` is a short stable word."""

    path: str
    kind: str
    message: str


@dataclass(frozen=True)
class Model:
    """A network with what is needed to state its answer.

    Attributes:
        network: float32 ``(batch, samples)`` at 16 kHz in, logits per task out; in eval mode.
        name: the model's name.
        version: version of its weights.
        sha256: hash of the weights file.
        tasks: the tasks the network has.
        calibration: logits to probabilities and verdicts.
        device: where the network lives.
        precision: ``float32`` or ``bfloat16``; None for a network that has no choice.
        families: codec families that the network tells apart, in the order of its logits.
        training: what the weights say of how they came about.
        notes: what limits every answer of this model.
    """

    network: torch.nn.Module
    name: str
    version: str
    sha256: str
    tasks: tuple[str, ...]
    calibration: Calibration
    device: str = "cpu"
    precision: str | None = None
    families: tuple[str, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def load(
        cls,
        name_or_path: str | Path = "compact",
        device: str = "cpu",
        *,
        precision: str = "float32",
        offline: bool = False,
        announce: Callable[[str], None] = lambda _: None,
    ) -> Model:
        """Load a model by name, or from a weights file.

        Args:
            name_or_path: which.
            device: ``cpu``, ``cuda``, ``mps`` or ``auto``.
            precision: ``float32``, ``bfloat16``, or ``auto`` for what the hardware does best.
            offline: do not download published weights that are not in the cache.
            announce: told in one line what will be downloaded.

        Raises:
            WeightsError: no such model, it is damaged, or the device is not there.
        """
        from codecsleuth.inference.compute import prepare
        from codecsleuth.weights import find_weights, read_weights

        place = pick_device(device)
        path = find_weights(name_or_path, offline=offline, announce=announce)
        weights = read_weights(path)
        try:
            network = _network(weights)
            calibrated = weights.calibration != UNFITTED
            calibration = Calibration.from_dict(weights.calibration) if calibrated else None
        except (RuntimeError, TypeError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            raise WeightsError(f"{path}: the weights do not fit the network: {reason}") from error
        network = network.to(place)
        return cls(
            network,
            weights.name,
            weights.version,
            weights.sha256,
            weights.tasks,
            calibration or Calibration(),
            place,
            prepare(network, precision, place),
            tuple(weights.config.get("families", ())),
            weights.training,
            () if calibrated else (NOT_CALIBRATED,),
        )

    def analyze(self, audio: AudioInput, sample_rate: int | None = None) -> Analysis:
        """Analyse a file, or samples ``(frames,)`` or ``(frames, channels)``.

        Raises:
            AudioError: the audio cannot be analysed.
        """
        path = "" if isinstance(audio, np.ndarray) else str(audio)
        return conclude(path, self.examine(audio, sample_rate), self.calibration, self.families)

    def logits(self, audio: AudioInput, sample_rate: int | None = None) -> dict[str, FloatArray]:
        """Uncalibrated logits ``(classes,)`` per task of a whole file or array.

        Raises:
            AudioError: the audio cannot be analysed.
        """
        return self.examine(audio, sample_rate).logits()

    def examine(
        self,
        audio: AudioInput,
        sample_rate: int | None = None,
        *,
        batch_size: int = DEFAULT_BATCH,
        pool: Executor | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> RawAnswer:
        """Ask the network about every window of a file or array.

        Args:
            audio: a path; or samples, ``(frames,)`` or ``(frames, channels)``.
            sample_rate: of the samples, in hertz.
            batch_size: windows read ahead; does not touch the answer.
            pool: where windows may be computed at the same time.
            cancelled: asked now and then; the work stops when it says yes.

        Raises:
            AudioError: the audio cannot be analysed.
        """
        if isinstance(audio, np.ndarray):
            recording = array_recording(audio, sample_rate)
            return self._examine(recording, batch_size, pool, cancelled)
        if sample_rate is not None:
            raise AudioError("sample_rate", "a file states its own sample rate")
        with open_recording(audio) as recording:
            return self._examine(recording, batch_size, pool, cancelled)

    def _examine(
        self,
        recording: Recording,
        batch_size: int,
        pool: Executor | None,
        cancelled: Callable[[], bool],
    ) -> RawAnswer:
        windows = recording.windows()
        answers: list[WindowLogits] = []
        while group := list(islice(windows, batch_size)):
            if cancelled():
                raise AudioError("cancelled", "stopped before it was analysed")
            answers += (pool.map if pool else map)(self._ask, group)
        warnings = (*recording.warnings, *self.notes)
        return RawAnswer(recording.evidence, tuple(answers), warnings)

    def _ask(self, window: Window) -> WindowLogits:
        logits = self.window_logits(window.samples)
        if not all(np.isfinite(values).all() for values in logits.values()):
            raise AudioError("not_finite", "the sample values are beyond what can be computed with")
        return WindowLogits(window.start_s, window.end_s, logits)

    def window_logits(self, samples: Samples) -> dict[str, FloatArray]:
        """Logits ``(classes,)`` per task of one window ``(samples,)`` at 16 kHz.

        ``FAMILY`` stands beside the tasks for a network that tells codec families apart. A model of
        all axes that has no ``BIN`` of its own is given one; see `bin_from_axes`.
        """
        import torch

        with torch.inference_mode(), _one_thread():
            # A copy in torch's own memory: kernels may choose by alignment.
            waveform = torch.tensor(samples, dtype=torch.float32).unsqueeze(0).to(self.device)
            answer = getattr(self.network, "outputs", self.network)(waveform)
            logits: dict[str, FloatArray] = {
                task: answer[task][0].double().cpu().numpy()
                for task in (*self.tasks, FAMILY)
                if task in answer
            }
        if logits.keys() - {FAMILY} == set(AXES):
            axes = {axis: logits[axis] for axis in AXES}
            return {"BIN": bin_from_axes(axes), **logits}
        return logits


def _network(weights: WeightsFile) -> torch.nn.Module:
    from codecsleuth.models import build_network

    network = build_network(weights.architecture, weights.config)
    unfilled = any(tensor.is_meta for tensor in network.parameters())
    network.load_state_dict(weights.tensors, strict=True, assign=unfilled)
    return network.float().eval().requires_grad_(False)


def pick_device(device: str) -> str:
    """Turn ``auto`` into the best device there is, and check one that is named.

    Raises:
        WeightsError: the device is unknown or not on this machine.
    """
    if device == "cpu":
        return device
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        device = next((name for name, present in there.items() if present), "cpu")
    elif not there.get(device, False):
        raise WeightsError(f"device {device!r} is not available on this machine")
    if device == "cuda":
        # Answers must not depend on which kernel was quickest today, nor on rounded products.
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
    return device


_thread_lock = threading.Lock()
_thread_users = 0
_threads_before = 1


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch compute on one thread, and give the others back when nobody needs that any more."""
    import torch

    global _thread_users, _threads_before
    with _thread_lock:
        if _thread_users == 0:
            _threads_before = torch.get_num_threads()
        _thread_users += 1
        if torch.get_num_threads() != 1:
            torch.set_num_threads(1)
    try:
        yield
    finally:
        with _thread_lock:
            _thread_users -= 1
            if _thread_users == 0 and _threads_before != 1:
                torch.set_num_threads(_threads_before)


def midmean(values: FloatArray) -> FloatArray:
    """Interquartile mean over the first axis: the mean of the middle half of the sorted values.

    Values at the edges of the middle half count by the part that lies in it, so the result moves
    smoothly from the mean (two values) to what no quarter of the values can move far.
    """
    count = len(values)
    edges = np.clip(np.arange(count + 1) / count, 0.25, 0.75)
    weights = np.diff(edges) / 0.5
    return cast(FloatArray, np.tensordot(weights, np.sort(values, axis=0), axes=1))


def aggregate(windows: Sequence[Logits]) -> dict[str, FloatArray]:
    """Logits of a recording from those of its windows.

    ``BIN`` is the midmean of the windows' log-odds, each other task the midmean of its
    log-probabilities, so that one odd window decides nothing. All are normalised: log-probabilities
    whose differences are the log-odds.
    """
    return {task: _aggregate(task, [window[task] for window in windows]) for task in windows[0]}


def _aggregate(task: str, logits: list[FloatArray]) -> FloatArray:
    stacked = np.stack(logits)
    if task != "BIN":
        return _log_softmax(midmean(_log_softmax(stacked)))
    middle = midmean(stacked[:, BIN_CODEC] - stacked[:, BIN_BONA_FIDE])
    both = np.zeros(2)
    both[BIN_CODEC] = middle
    return _log_softmax(both)


def _log_softmax(logits: FloatArray) -> FloatArray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return cast(FloatArray, shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def codec_log_odds(logits: Logits, calibration: Calibration) -> float:
    """Calibrated natural log-odds codec : bona fide.

    A model without ``BIN`` is asked through its axes.
    """
    if "BIN" in logits:
        return float(calibration.log_odds(logits["BIN"]))
    return float(calibration.log_odds(bin_from_axes(logits)))


def conclude(
    path: str, raw: RawAnswer, calibration: Calibration, families: Sequence[str] = ()
) -> Analysis:
    """Turn the network's raw answer into calibrated probabilities and a verdict."""
    logits = raw.logits()
    log_odds = codec_log_odds(logits, calibration)
    probability = _probability(log_odds)
    segments = tuple(
        Segment(w.start_s, w.end_s, _probability(codec_log_odds(w.logits, calibration)))
        for w in raw.windows
    )
    familiar = float(familiarity(logits[FAMILY])) if families else None
    known = familiar is None or familiar >= calibration.familiar_threshold
    taxonomy = {
        axis.lower(): axis_answer(axis, logits[axis], calibration, known)
        for axis in AXES
        if axis in logits
    }
    return Analysis(
        path=path,
        evidence=raw.evidence,
        verdict=calibration.verdict(probability),
        codec_probability=probability,
        log10_lr=log_odds / LN10,
        taxonomy=taxonomy,
        familiarity=familiar,
        candidates=candidates(logits, families, taxonomy),
        segments=segments,
        warnings=(*raw.warnings, *dissent(segments, calibration)),
        raw=logits,
    )


def axis_answer(
    axis: str, logits: FloatArray, calibration: Calibration, known: bool = True
) -> AxisAnswer:
    """The calibrated answer on one axis, given that there was a codec.

    Args:
        axis: ``VQ``, ``AUX`` or ``DEC``.
        logits: ``(classes,)`` with ``Real`` first.
        calibration: of the model.
        known: whether the codec is like one the model has met.
    """
    values = calibration.axis_probabilities(axis, logits)
    probabilities = dict(zip(CLASSES[axis][1:], map(float, values), strict=True))
    label, probability = max(probabilities.items(), key=lambda pair: pair[1])
    if not known and probability < calibration.sure_threshold:
        label = UNKNOWN
    return AxisAnswer(label, probability, probabilities)


def candidates(
    logits: Logits, families: Sequence[str], taxonomy: Mapping[str, AxisAnswer]
) -> tuple[Candidate, ...]:
    """The likeliest families, likeliest first, and on which axes the answer contradicts them."""
    if not families:
        return ()
    probabilities = softmax(logits[FAMILY])
    ranked = np.argsort(-probabilities, kind="stable")[:CANDIDATES]
    return tuple(_candidate(families[i], float(probabilities[i]), taxonomy) for i in ranked)


def _candidate(family: str, score: float, taxonomy: Mapping[str, AxisAnswer]) -> Candidate:
    classes = {axis.lower(): family_class(family, axis) for axis in AXES}
    known = {axis: name for axis, name in classes.items() if name}
    disagrees = tuple(
        axis
        for axis, answer in taxonomy.items()
        if answer.label != UNKNOWN and known.get(axis, answer.label) != answer.label
    )
    return Candidate(family, score, known, disagrees)


def dissent(segments: Sequence[Segment], calibration: Calibration) -> list[str]:
    """A warning if part of the windows say "codec" and part of them the opposite."""
    verdicts = [calibration.verdict(segment.codec_probability) for segment in segments]
    codec, bona_fide = verdicts.count("codec"), verdicts.count("bona_fide")
    if min(codec, bona_fide) < max(1.0, _DISSENT_SHARE * len(segments)):
        return []
    return [
        f"the segments disagree: {codec} of {len(segments)} look codec-coded, {bona_fide} do not"
    ]


def _probability(log_odds: float) -> float:
    return float(sigmoid(np.asarray(log_odds)))


def analyze_files(
    model: Model,
    paths: Iterable[str],
    *,
    workers: int = 1,
    batch_size: int = DEFAULT_BATCH,
) -> Iterator[Analysis | FileError]:
    """Analyse files several at a time; answers come in the order of the paths.

    A file that cannot be analysed gives a `FileError` and does not disturb the others. Closing the
    iterator stops the work.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(workers) as network, ThreadPoolExecutor(workers) as readers:

        def job(path: str) -> Analysis | FileError:
            return _analyze_file(model, path, batch_size, network, stop.is_set)

        try:
            yield from _in_order(readers, job, iter(paths), workers * _AHEAD_PER_WORKER)
        finally:
            stop.set()
            readers.shutdown(cancel_futures=True)


def _in_order(
    pool: Executor,
    job: Callable[[str], Analysis | FileError],
    paths: Iterator[str],
    ahead: int,
) -> Iterator[Analysis | FileError]:
    pending: deque[Future[Analysis | FileError]] = deque()
    pending.extend(pool.submit(job, path) for path in islice(paths, ahead))
    while pending:
        yield pending.popleft().result()
        pending.extend(pool.submit(job, path) for path in islice(paths, 1))


def _analyze_file(
    model: Model, path: str, batch_size: int, pool: Executor, cancelled: Callable[[], bool]
) -> Analysis | FileError:
    try:
        raw = model.examine(path, batch_size=batch_size, pool=pool, cancelled=cancelled)
        return conclude(path, raw, model.calibration, model.families)
    except AudioError as error:
        return FileError(path, error.kind, str(error))
    except Exception as error:  # one file's surprise must not cost the other files' answers
        return FileError(path, "internal", f"unexpected {type(error).__name__}: {error}")
