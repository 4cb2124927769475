from __future__ import annotations

import numpy as np
import pytest

from services.data.birdsong import MOTIFS, NAMES, Scene, sing, species

SCENE = Scene(seconds=1.0, sample_rate=22_050, noise=0.02)


def loudest_hz(samples: np.ndarray) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * 22_050 / len(samples))


def test_species_do_not_depend_on_how_many_there_are() -> None:
    assert species(24)[:3] == species(3)
    assert len({bird.name for bird in species(24)}) == len(NAMES) == 24
    assert {bird.motif for bird in species(24)} == set(MOTIFS)


@pytest.mark.parametrize("index", range(24))
def test_a_recording_has_its_length_and_stays_within_full_scale(index: int) -> None:
    sound = sing([species(24)[index]], SCENE, np.random.default_rng(index))
    assert sound.shape == (22_050,)
    assert 0.05 < np.max(np.abs(sound)) <= 0.95


def test_a_whistle_is_heard_at_its_pitch() -> None:
    whistler = species(1)[0]
    sound = sing([whistler], SCENE, np.random.default_rng(1))
    assert loudest_hz(sound) == pytest.approx(whistler.pitch, rel=0.09)


def test_a_shift_lowers_the_song() -> None:
    whistler = species(1)[0]
    shifted = Scene(seconds=1.0, sample_rate=22_050, noise=0.02, shift=1.0)
    usual, lower = (sing([whistler], scene, np.random.default_rng(1)) for scene in (SCENE, shifted))
    assert loudest_hz(lower) < 0.8 * loudest_hz(usual)


def test_two_birds_at_once_are_both_heard() -> None:
    low, high = species(24)[4], species(24)[2]
    sound = np.abs(np.fft.rfft(sing([low, high], SCENE, np.random.default_rng(3))))
    hz = np.arange(len(sound)) * 22_050 / 22_050
    for bird in (low, high):
        near = (hz > bird.pitch * 0.7) & (hz < bird.pitch * 1.4)
        assert sound[near].max() > 20 * np.median(sound)
