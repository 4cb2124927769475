"""`golden.npz`: inputs with the answers that the model must give, for verification after a deployment.

A zip of .npy members, written with fixed dates and without compression, so equal content gives equal bytes.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy_format

from services.common.errors import InvalidInput, RookeryError, TooLarge
from services.media.npy import parse_npy

MAX_BYTES = 64 << 20
_MAX_INPUTS = 256
_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Golden:
    """Inputs as a user would upload them, and the expected answers.

    Attributes:
        inputs: encoded files.
        media_types: what `sniff` says of each.
        probabilities: float32 [inputs, classes], of the whole clip, after temperature.
        novelty: float32 [inputs].
    """

    inputs: list[bytes]
    media_types: list[str]
    probabilities: npt.NDArray[np.float32]
    novelty: npt.NDArray[np.float32]

    def check(self) -> None:
        """Raises InvalidInput where the parts do not fit each other."""
        count = len(self.inputs)
        if not 1 <= count <= _MAX_INPUTS or len(self.media_types) != count:
            raise InvalidInput("the golden inputs are too few, too many or without types", value=count)
        if self.probabilities.ndim != 2 or len(self.probabilities) != count or self.novelty.shape != (count,):
            raise InvalidInput("the golden answers do not fit the inputs", value=self.probabilities.shape)
        if not (np.isfinite(self.probabilities).all() and np.isfinite(self.novelty).all()):
            raise InvalidInput("the golden answers are not finite numbers")
        if not ((self.probabilities >= 0) & (self.probabilities <= 1 + 1e-5)).all():
            raise InvalidInput("the golden probabilities are out of range", allowed="0 to 1")

    def to_bytes(self) -> bytes:
        """The file. Raises InvalidInput where the parts do not fit."""
        self.check()
        members: dict[str, npt.NDArray[Any]] = {
            f"inputs_{index}": np.frombuffer(data, np.uint8) for index, data in enumerate(self.inputs)
        }
        members["media_types"] = np.array(self.media_types, dtype="<U8")
        members["probabilities"] = np.ascontiguousarray(self.probabilities, "<f4")
        members["novelty"] = np.ascontiguousarray(self.novelty, "<f4")
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            for name, array in members.items():
                buffer = io.BytesIO()
                npy_format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(f"{name}.npy", _DATE), buffer.getvalue())
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Golden:
        """Reads a file; sizes are checked before anything is unpacked.

        Raises:
            InvalidInput: not such a file, or its parts do not fit each other.
            TooLarge: it would unpack to more than 64 MiB.
        """
        try:
            members = _members(data)
            count = sum(name.startswith("inputs_") for name in members)
            golden = cls(
                inputs=[parse_npy(members[f"inputs_{i}"], kinds="u").tobytes() for i in range(count)],
                media_types=[str(name) for name in parse_npy(members["media_types"], kinds="U")],
                probabilities=parse_npy(members["probabilities"], kinds="f").astype(np.float32),
                novelty=parse_npy(members["novelty"], kinds="f").astype(np.float32),
            )
        except TooLarge:
            raise
        except (
            RookeryError,
            KeyError,
            zipfile.BadZipFile,
            NotImplementedError,
            EOFError,
            ValueError,
            TypeError,
        ) as error:
            raise InvalidInput(f"golden.npz cannot be read: {error}") from error
        golden.check()
        return golden


def _members(data: bytes) -> dict[str, bytes]:
    if len(data) > MAX_BYTES:
        raise TooLarge("golden.npz is too large", value=len(data), allowed=f"up to {MAX_BYTES:,} bytes")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        if len(entries) > _MAX_INPUTS + 3:
            raise TooLarge("golden.npz has too many members", value=len(entries))
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise InvalidInput("golden.npz is compressed", allowed="members stored as they are")
        return {entry.filename.removesuffix(".npy"): archive.read(entry) for entry in entries}
