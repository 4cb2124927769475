from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from services.bundle.reader import Bundle
from services.common.errors import InvalidInput
from services.media.prepare import prepare
from services.serve.predictor import Predictor
from tests.support.bundles import digit_label, digit_png, tone_wav


def test_digits_are_recognised(digits: Bundle) -> None:
    predictor = Predictor(digits)
    right = sum(predictor.predict(digit_png(i)).labels[0]["label"] == digit_label(i) for i in range(300))
    assert right >= 290


def test_golden_answers_are_reproduced(digits: Bundle, tones: Bundle) -> None:
    for bundle in (digits, tones):
        predictor = Predictor(bundle)
        for number, data in enumerate(bundle.golden.inputs):
            answer = predictor.predict(data)
            np.testing.assert_allclose(answer.probabilities, bundle.golden.probabilities[number], atol=1e-6)
            assert answer.novelty == pytest.approx(float(bundle.golden.novelty[number]), rel=1e-4)


def test_scores_do_not_depend_on_the_batch(digits: Bundle) -> None:
    predictor = Predictor(digits)
    tensor = np.concatenate([prepare(digit_png(i), digits.manifest.preprocessing).tensor for i in range(37)])
    together = predictor.scores(tensor)
    assert together.probabilities.shape == (37, 10)
    assert together.novelty.shape == (37,)
    for index in (0, 15, 16, 36):
        alone = predictor.scores(tensor[index : index + 1])
        np.testing.assert_allclose(alone.probabilities[0], together.probabilities[index], atol=1e-5)
        np.testing.assert_allclose(alone.novelty[0], together.novelty[index], rtol=1e-4)


def test_probabilities_are_softmax_of_tempered_logits(digits: Bundle) -> None:
    warm = replace(digits, manifest=digits.manifest.model_copy(update={"temperature": 2.5}))
    tensor = prepare(digit_png(5), digits.manifest.preprocessing).tensor
    scores = Predictor(warm).scores(tensor)
    weights = np.exp(scores.logits / 2.5 - (scores.logits / 2.5).max())
    np.testing.assert_allclose(scores.probabilities, weights / weights.sum(), atol=1e-6)
    assert scores.probabilities.max() < Predictor(digits).scores(tensor).probabilities.max()


def test_multi_label_is_sigmoid(tones: Bundle) -> None:
    multi = replace(tones, manifest=tones.manifest.model_copy(update={"task": "multi-label"}))
    scores = Predictor(multi).scores(prepare(tone_wav(2000.0, 1.0), tones.manifest.preprocessing).tensor)
    np.testing.assert_allclose(scores.probabilities, 1 / (1 + np.exp(-scores.logits)), atol=1e-6)


def test_a_sound_gets_a_timeline_with_joined_segments(tones: Bundle) -> None:
    answer = Predictor(tones).predict(tone_wav([400.0, 400.0, 2000.0, 6000.0, 6000.0], 1.0))
    assert [(s["label"], s["start"], s["end"]) for s in answer.segments or []] == [
        ("low", 0.0, 2.0),
        ("middle", 2.0, 3.0),
        ("high", 3.0, 5.0),
    ]
    assert [window["label"] for window in answer.timeline or []] == ["low", "low", "middle", "high", "high"]
    assert answer.duration == pytest.approx(5.0)


def test_sounds_unlike_the_training_data_are_novel(tones: Bundle) -> None:
    predictor = Predictor(tones)
    assert not predictor.predict(tone_wav(2000.0, 1.0)).novel
    odd = predictor.predict(tone_wav([2000.0, 3600.0], 1.0))
    assert odd.novel
    assert [window["novel"] for window in odd.timeline or []] == [False, True]


def test_models_that_do_not_fit_the_labels_are_refused(digits: Bundle) -> None:
    fewer = digits.manifest.model_copy(update={"labels": ["a", "b"]})
    with pytest.raises(InvalidInput, match="do not fit the manifest"):
        Predictor(replace(digits, manifest=fewer))


def test_bytes_that_are_no_model_are_refused(digits: Bundle) -> None:
    with pytest.raises(InvalidInput, match=r"novelty\.onnx is not an ONNX model"):
        Predictor(replace(digits, novelty=b"\x80\x04 no model"))


def test_exchanged_models_are_refused(digits: Bundle) -> None:
    with pytest.raises(InvalidInput, match=r"model\.onnx has other inputs or outputs"):
        Predictor(replace(digits, model=digits.novelty, novelty=digits.model))
