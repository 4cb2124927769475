"""Invented songs of invented birds: a deterministic generator of recordings.

A species is a motif (whistles, trill, sweeps, buzz, two notes, warble) with a pitch, a note length and a
rate of its own. They depend on nothing but its index, so recordings of another seed
are of the same species.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]

NAMES = (
    "amber-piper", "brook-lanternet", "cinder-trillet", "dusk-flutewing", "ember-quill",
    "fen-buzzet", "glass-chimer", "hollow-warblet", "ink-sweeplark", "juniper-tock",
    "kettle-reeler", "lichen-whistlet", "moor-glimmer", "nettle-twinnote", "ochre-rattler",
    "pebble-flutist", "quarry-bellet", "rush-spinner", "slate-murmurer", "thistle-chitter",
    "umber-songling", "vale-risewing", "willow-dropnote", "yarrow-zither",
)  # fmt: skip
MOTIFS = ("whistles", "trill", "rise", "fall", "buzz", "two-notes", "warble", "ticks")
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Species:
    """How one species sings: pitch in Hz, note length and distance of the notes in seconds."""

    name: str
    motif: str
    pitch: float
    note: float
    pause: float
    notes: int


def species(count: int) -> list[Species]:
    """The first `count` of the 24 species; the same ones always, whatever the count."""
    return [_species(index) for index in range(count)]


def _species(index: int) -> Species:
    spread = ((index + 1) * _GOLDEN) % 1.0
    other = ((index + 1) * _GOLDEN * 3) % 1.0
    return Species(
        name=NAMES[index],
        motif=MOTIFS[index % len(MOTIFS)],
        pitch=1100.0 * 5.5**spread,
        note=0.08 + 0.14 * other,
        pause=0.05 + 0.12 * (1 - other),
        notes=4 + index % 4,
    )


@dataclass(frozen=True)
class Scene:
    """Where and how a recording is made.

    Args:
        seconds: length.
        sample_rate: Hz.
        noise: background noise relative to the song, 0.02 is quiet and 0.5 is a gale.
        shift: 0 for the usual; towards 1 the songs are lower and slower and the hum of a road is louder.
    """

    seconds: float
    sample_rate: int
    noise: float
    shift: float = 0.0


def sing(singers: list[Species], scene: Scene, rng: np.random.Generator) -> Samples:
    """A recording of the singers one over the other, float64 [seconds · sample_rate] within ±0.95."""
    length = round(scene.seconds * scene.sample_rate)
    sound = np.zeros(length)
    for rank, singer in enumerate(singers):
        loudness = rng.uniform(0.5, 1.0) * (1.0 if rank == 0 else 0.7)
        sound += loudness * _performance(singer, scene, length, rng)
    sound += scene.noise * _background(length, scene, rng)
    loudest = float(np.max(np.abs(sound)))
    return np.clip(sound * rng.uniform(0.2, 0.9) / max(loudest, 1e-9), -0.95, 0.95)


def _performance(singer: Species, scene: Scene, length: int, rng: np.random.Generator) -> Samples:
    """Phrases with pauses between them over the whole length, at least one."""
    track = np.zeros(length)
    at = int(rng.uniform(0, 0.15) * length)
    while at < length:
        phrase = _phrase(singer, scene, rng)[: length - at]
        track[at : at + len(phrase)] += phrase
        at += len(phrase) + int(rng.uniform(0.15, 0.6) * scene.sample_rate)
    return track


def _phrase(singer: Species, scene: Scene, rng: np.random.Generator) -> Samples:
    mood = rng.uniform(0.94, 1.06) * (1 - 0.25 * scene.shift)
    tempo = rng.uniform(0.88, 1.12) * (1 + 0.4 * scene.shift)
    gap = np.zeros(int(singer.pause * tempo * scene.sample_rate))
    parts: list[Samples] = []
    for number in range(singer.notes):
        pitch = singer.pitch * mood * rng.uniform(0.985, 1.015)
        parts += [_note(singer.motif, pitch, singer.note * tempo, number, scene.sample_rate), gap]
    return np.concatenate(parts)


def _note(motif: str, pitch: float, seconds: float, number: int, sample_rate: int) -> Samples:
    """One syllable with its second harmonic, softly begun and ended."""
    time = np.arange(max(int(seconds * sample_rate), 8)) / sample_rate
    progress = time / time[-1]
    swing = np.ones_like(time)
    frequency = np.full_like(time, pitch)
    if motif == "trill":
        swing = 0.5 * (1 - np.cos(2 * np.pi * 38 * time))
    elif motif == "rise":
        frequency = pitch * (0.75 + 0.6 * progress)
    elif motif == "fall":
        frequency = pitch * (1.35 - 0.6 * progress)
    elif motif == "buzz":
        frequency = pitch + 0.12 * pitch * np.sin(2 * np.pi * 110 * time)
    elif motif == "two-notes":
        frequency = np.full_like(time, pitch * (1.0 if number % 2 else 1.28))
    elif motif == "warble":
        frequency = pitch + 0.18 * pitch * np.sin(2 * np.pi * 14 * time)
    elif motif == "ticks":
        swing = np.exp(-45 * (time % 0.03) / 0.03 * 0.2)
    phase = 2 * np.pi * np.cumsum(np.minimum(frequency, 0.45 * sample_rate)) / sample_rate
    overtone = 0.15 if 2 * pitch * 1.4 < 0.5 * sample_rate else 0.0
    return np.asarray(
        np.sin(np.pi * progress) ** 0.7 * swing * (np.sin(phase) + overtone * np.sin(2 * phase))
    )


def _background(length: int, scene: Scene, rng: np.random.Generator) -> Samples:
    """Wind (low-pass noise), hiss, and with a shift a hum of 90 Hz."""
    hiss = rng.standard_normal(length)
    ramp = np.concatenate([[0.0], np.cumsum(rng.standard_normal(length))])
    width = max(scene.sample_rate // 400, 2)
    wind = np.zeros(length)
    wind[width - 1 :] = (ramp[width:] - ramp[:-width]) / np.sqrt(width)
    hum = np.sin(2 * np.pi * 90 * np.arange(length) / scene.sample_rate)
    return np.asarray(0.4 * hiss + 0.6 * wind + 2 * scene.shift * (hum + 0.5 * hiss))
