"""A bundle in memory that answers: bytes of a sound or picture in, labels with probabilities out.

Used by the serving process and, on the same bytes, by the evaluate service. Thread-safe: ONNX Runtime sessions
may be run from several threads at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from services.bundle.manifest import ImagePreprocessing
from services.common.digest import digest_bytes
from services.common.errors import InvalidInput
from services.media.limits import MediaLimits
from services.media.prepare import Prepared, prepare
from services.serve.fuse import fuse
from services.serve.prediction import Prediction, describe
from services.serve.small import SmallPictures

if TYPE_CHECKING:
    from services.bundle.reader import Bundle

_BATCH = 16
_LIMITS = MediaLimits()

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Scores:
    """What the models say of w windows (a picture is one window).

    Attributes:
        logits: float32 [w, classes], before temperature.
        probabilities: float32 [w, classes], softmax (single-label) or sigmoid (multi-label) of logits / temperature.
        novelty: float32 [w], mean squared reconstruction error of the autoencoder.
    """

    logits: Floats
    probabilities: Floats
    novelty: Floats


class Predictor:
    """Runs the models of one bundle.

    Args:
        bundle: as `services.bundle.reader.read_bundle` returns it.
        threads: threads inside one run of ONNX Runtime; one lets as many requests run side by side as there are cores.
        limits: what an upload may be.

    Raises:
        InvalidInput: ONNX Runtime cannot load the models, or their outputs do not fit the labels.
    """

    def __init__(self, bundle: Bundle, *, threads: int = 1, limits: MediaLimits = _LIMITS) -> None:
        self.manifest = bundle.manifest
        self.limits = limits
        self.model_digest = digest_bytes(bundle.model)
        self.novelty_digest = digest_bytes(bundle.novelty)
        multi_label = self.manifest.task == "multi-label"
        fused = fuse(
            bundle.model, bundle.novelty, multi_label=multi_label, temperature=self.manifest.temperature
        )
        self._session = _open(fused, threads)
        self.input_shape = self._check()
        preprocessing = self.manifest.preprocessing
        self._small: SmallPictures | None = None
        if isinstance(preprocessing, ImagePreprocessing):
            self._small = SmallPictures(preprocessing)

    def scores(self, tensor: Floats) -> Scores:
        """Scores of float32 [w, channels, height, width], run in batches of 16 so that memory stays bounded."""
        parts = [self._run(tensor[at : at + _BATCH]) for at in range(0, len(tensor), _BATCH)]
        if len(parts) == 1:
            return Scores(*parts[0])
        return Scores(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def predict(self, data: bytes) -> Prediction:
        """The answer to the bytes of one file, whatever its name.

        Raises:
            UnsupportedMedia, TooLarge, InvalidInput: see `services.media.prepare`.
        """
        prepared = prepare(data, self.manifest.preprocessing, self.limits)
        return describe(self.manifest, self.scores(prepared.tensor), prepared)

    def predict_small(self, data: bytes, *, measure: bool = False) -> Prediction:
        """As `predict`, on a shorter way for small plain pictures; their features only if `measure`."""
        features: dict[str, float] | None = {} if measure else None
        tensor = self._small.tensor(data, features) if self._small else None
        if tensor is None:
            return self.predict(data)
        prepared = Prepared(tensor, [0.0], 0.0, features or {})
        return describe(self.manifest, Scores(*self._run(tensor)), prepared)

    def _run(self, tensor: Floats) -> list[Floats]:
        answer: list[Floats] = self._session.run(None, {"input": tensor})
        return answer

    def _check(self) -> list[int]:
        shape = [1, *self._session.get_inputs()[0].shape[1:]]
        if not all(isinstance(size, int) for size in shape):
            raise InvalidInput(
                "only the first size of the input may vary", value=shape, allowed="[N, C, H, W]"
            )
        scores = self.scores(np.zeros(shape, dtype=np.float32))
        classes = len(self.manifest.labels)
        if scores.probabilities.shape != (1, classes) or scores.novelty.shape != (1,):
            raise InvalidInput(
                "the models do not fit the manifest",
                value={"probabilities": scores.probabilities.shape, "novelty": scores.novelty.shape},
                allowed=f"probabilities (1, {classes}) and novelty (1,)",
            )
        return shape


def _open(model: bytes, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InvalidInput(f"ONNX Runtime cannot load the models: {error}") from error
