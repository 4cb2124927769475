"""Batches for the network: from memory where the windows fit, else read ahead from the mapped file."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_RESIDENT_BYTES = 1 << 30
_AHEAD = 3


class Windows:
    """Windows of a split, normalised and on the device when they are asked for.

    Args:
        windows: float32 [n, channels, height, width], not normalised.
        mean, std: for each channel.
    """

    def __init__(
        self, windows: NDArray[np.float32], mean: list[float], std: list[float], device: torch.device
    ) -> None:
        self._device = device
        self._mean = torch.tensor(mean, device=device).view(1, -1, 1, 1)
        self._std = torch.tensor(std, device=device).view(1, -1, 1, 1)
        self._mapped = windows
        self._resident: Tensor | None = None
        if windows.nbytes <= _RESIDENT_BYTES:
            self._resident = self._normalise(torch.from_numpy(np.array(windows)).to(device))

    def __len__(self) -> int:
        return len(self._mapped)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        _, channels, height, width = self._mapped.shape
        return channels, height, width

    def first(self, count: int) -> NDArray[np.float32]:
        """The first windows, normalised, on the CPU."""
        _, batch = next(self.batches(np.arange(min(count, len(self))), count))
        found: NDArray[np.float32] = batch.cpu().numpy()
        return found

    def batches(self, order: NDArray[np.int64], size: int) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
        """Indices and windows, `size` at a time in this order; the last batch may be smaller."""
        parts = [order[at : at + size] for at in range(0, len(order), size)]
        if self._resident is not None:
            for part in parts:
                yield part, self._resident[torch.from_numpy(part).to(self._device)]
            return
        with ThreadPoolExecutor(1) as reader:
            waiting: list[tuple[NDArray[np.int64], Future[Tensor]]] = []
            for part in parts:
                waiting.append((part, reader.submit(self._read, part)))
                if len(waiting) >= _AHEAD:
                    first, future = waiting.pop(0)
                    yield first, self._to_device(future.result())
            for rest, future in waiting:
                yield rest, self._to_device(future.result())

    def _read(self, part: NDArray[np.int64]) -> Tensor:
        batch = torch.from_numpy(np.ascontiguousarray(self._mapped[part]))
        return batch.pin_memory() if self._device.type == "cuda" else batch

    def _to_device(self, batch: Tensor) -> Tensor:
        return self._normalise(batch.to(self._device, non_blocking=True))

    def _normalise(self, batch: Tensor) -> Tensor:
        return (batch - self._mean) / self._std
