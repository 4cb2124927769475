from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.data.birdsong import Scene, sing, species
from services.data.encoding import encode_sound
from services.data.source import load_dataset
from services.media.prepare import prepare
from services.train.export import check_export, to_onnx
from services.train.features import load_features, statistics
from services.train.hyperparameters import Hyperparameters
from services.train.loading import Windows
from services.train.novelty import Autoencoder, _means, fit_novelty, scores, threshold
from services.train.preprocessing import raw_preprocessing, resolve

CPU = torch.device("cpu")


def _stripes(count: int, seed: int) -> Windows:
    random = np.random.default_rng(seed)
    phase, slope = random.random((2, count, 1, 1, 1)).astype(np.float32)
    rows, columns = np.meshgrid(np.arange(12), np.arange(10), indexing="ij")
    stripes = np.sin(phase * 6 + (0.5 + slope) * rows) + 0.02 * random.normal(size=(count, 1, 12, 10))
    return Windows((stripes + 0 * columns).astype(np.float32), [0.0], [1.0], CPU)


@pytest.mark.parametrize("sound", [False, True])
def test_what_is_unlike_the_training_data_scores_higher(sound: bool) -> None:
    training, fresh = _stripes(300, 0), _stripes(100, 1)
    model = fit_novelty(training, np.arange(300), sound=sound, epochs=30, seed=0)
    noise = np.random.default_rng(2).normal(0, 1.5, (100, 1, 12, 10)).astype(np.float32)
    bound = threshold(scores(model, fresh), 99)
    unlike = scores(model, Windows(noise, [0.0], [1.0], CPU))
    assert (unlike > bound).mean() > 0.9
    assert (scores(model, training) > bound).mean() < 0.1


@pytest.mark.parametrize("sound", [False, True])
def test_the_export_answers_alike_for_any_shape(sound: bool) -> None:
    torch.manual_seed(0)
    for shape in ((1, 16, 16), (3, 40, 30), (1, 64, 251)):
        model = Autoencoder(shape, sound=sound).eval()
        data = to_onnx(model, shape, "score")
        assert (
            check_export(model, data, np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32))
            < 1e-4
        )


@given(st.integers(1, 300), st.integers(1, 32))
def test_every_position_counts_alike_in_the_coarse_view(size: int, cells: int) -> None:
    cells = min(size, cells)
    weights = _means(size, cells)
    assert weights.sum(dim=1) == pytest.approx(np.ones(cells), abs=1e-4)
    assert weights.sum(dim=0) == pytest.approx(np.full(size, cells / size), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("seconds", [4.0, 9.7])
def test_a_longer_recording_of_a_known_species_is_like_the_training_data(
    tmp_path: Path, seconds: float
) -> None:
    source = "synthetic-birds?species=2&recordings=60&seconds=2&sample_rate=8000"
    dataset = load_dataset(source, cache=tmp_path)
    raw = raw_preprocessing(resolve(Hyperparameters(), dataset), dataset)
    features = load_features(dataset, raw, tmp_path, limit_gib=1, tell=lambda done, total: None)
    mean, std = statistics(features.training)
    training, validation = (
        Windows(split.windows, mean, std, CPU) for split in (features.training, features.validation)
    )
    model = fit_novelty(training, np.arange(len(training)), sound=True, epochs=30, seed=0)
    bound = threshold(scores(model, validation), 99)

    def highest(samples: NDArray[np.float64]) -> float:
        tensor = prepare(encode_sound(samples, 8000, "wav"), raw).tensor
        return float(scores(model, Windows(tensor, mean, std, CPU)).max())

    singer, random = species(2)[0], np.random.default_rng(5)
    long = sing([singer], Scene(seconds=seconds, sample_rate=8000, noise=0.1), random)
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(long)) / 8000)
    assert highest(long) < 1.5 * bound
    assert highest(tone) > 3 * bound
