"""A year of handwritten digits: real scans, photographed by a camera that is replaced in the middle of the year."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from workflows.simulation.world import GROUP_MARK, Calendar, Input

OLD, NEW = "camera-1", "camera-2"
LATE = ("8", "9")
_START_SHARE = 0.45
_PICTURES = 4
_START_PICTURES = 2
_SIDE = 20
_TILT, _BLUR, _NOISE, _CONTRAST, _HAZE = 25.0, 0.4, 0.05, 0.8, 0.06

Grey = NDArray[np.float64]


class DigitWorld:
    """The scans that come with scikit-learn, each shown in one month only, as a few pictures of it.

    45 % of the scans are labelled before the year begins. The digits of `LATE` are not among them: they come first in
    the month of arrival. The new camera hangs askew, blurs, and adds haze and noise.
    """

    application = "digits"

    def __init__(self, calendar: Calendar, seed: int) -> None:
        from sklearn.datasets import load_digits

        self.calendar = calendar
        self._seed = seed
        scans = load_digits()
        self._pixels: NDArray[np.float64] = scans.images / 16.0
        self._truth = [str(target) for target in scans.target]
        order = np.random.default_rng([seed, 1]).permutation(len(self._truth)).tolist()
        early = [scan for scan in order if self._truth[scan] not in LATE]
        late = [scan for scan in order if self._truth[scan] in LATE]
        known = round(_START_SHARE * len(early))
        self._start, rest = early[:known], early[known:]
        each = len(rest) // calendar.months
        self._months = [rest[each * month : each * (month + 1)] for month in range(calendar.months)]
        # As frequent as the other digits are.
        share = round(each * len(LATE) / (10 - len(LATE)))
        for month in range(calendar.arrival - 1, calendar.months):
            self._months[month] = self._months[month] + [late.pop() for _ in range(min(share, len(late)))]

    def start(self) -> Iterator[Input]:
        """What is labelled before the year begins."""
        for scan in self._start:
            yield from self._inputs(scan, 0, _START_PICTURES)

    def month(self, number: int) -> list[Input]:
        """What is asked in a month, in the order in which it is asked."""
        scans = self._months[number - 1]
        order = np.random.default_rng([self._seed, 2, number]).permutation(len(scans))
        return [item for index in order for item in self._inputs(scans[index], number, _PICTURES)]

    def news(self, number: int) -> str:
        """What is new in a month, for people; empty when nothing is."""
        return self.calendar.news(
            number, "a camera that hangs askew and is full of noise", " and ".join(LATE)
        )

    def _inputs(self, scan: int, month: int, count: int) -> Iterator[Input]:
        new = month >= self.calendar.shift
        source = NEW if new else OLD
        for picture in range(count):
            random = np.random.default_rng([self._seed, 3, scan, picture])
            data = png(photograph(self._pixels[scan], random, new=new))
            yield Input(f"scan-{scan:04d}{GROUP_MARK}{picture}.png", self._truth[scan], source, data)


def photograph(scan: Grey, random: np.random.Generator, *, new: bool) -> Grey:
    """A picture of a scan [8, 8] in 0 to 1, as the old or the new camera takes it: [20, 20] in 0 to 1."""
    grey = Image.fromarray(np.round(scan * 255).astype(np.uint8))
    large = grey.resize((_SIDE - 4, _SIDE - 4), Image.Resampling.BICUBIC)
    sheet = Image.new("L", (_SIDE, _SIDE))
    left, top = (int(at) for at in random.integers(0, 5, size=2))
    sheet.paste(large, (left, top))
    turn = float(random.uniform(-7, 7)) + (_TILT if new else 0.0)
    sheet = sheet.rotate(turn, resample=Image.Resampling.BICUBIC)
    light = float(random.uniform(0.8, 1.0))
    if not new:
        return np.asarray(sheet, np.float64) / 255 * light + random.normal(0, 0.01, (_SIDE, _SIDE))
    blurred = np.asarray(sheet.filter(ImageFilter.GaussianBlur(_BLUR)), np.float64) / 255
    noise = random.normal(0, _NOISE, (_SIDE, _SIDE))
    return blurred * light * _CONTRAST + _HAZE * float(random.uniform(0.8, 1.2)) + noise


def png(picture: Grey) -> bytes:
    """A grey picture in 0 to 1 as PNG; what lies beyond is cut off."""
    file = io.BytesIO()
    Image.fromarray(np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)).save(file, format="PNG")
    return file.getvalue()
