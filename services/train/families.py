"""The model families that can be trained, by name. Torch is not imported here: the service only lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from services.common.errors import InvalidInput
from services.train.hyperparameters import nearest


@dataclass(frozen=True)
class Family:
    """One architecture for one kind of data.

    Attributes:
        kind: what it is trained on: pictures, or log-mel spectrograms of sounds.
        architecture: what `services.train.networks.build` makes.
        pretrained: it can start from weights of torchvision.
    """

    name: str
    kind: Literal["image", "audio"]
    architecture: Literal["cnn", "resnet18", "resnet50"]
    pretrained: bool
    description: str

    def threads(self, cores: int) -> int:
        """CPU threads that pay: small pictures are done before a second thread has woken up."""
        return 1 if self.name == "cnn" else cores


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("cnn", "image", "cnn", False, "small residual CNN for pictures: seconds on a CPU"),
        Family("resnet18", "image", "resnet18", True, "torchvision's resnet18, 11 million weights"),
        Family(
            "resnet50", "image", "resnet50", True, "torchvision's resnet50, 24 million weights; wants a GPU"
        ),
        Family(
            "mel-cnn", "audio", "cnn", False, "small residual CNN on log-mel spectrograms: a minute on a CPU"
        ),
        Family("mel-resnet18", "audio", "resnet18", True, "resnet18 on log-mel spectrograms"),
        Family("mel-resnet50", "audio", "resnet50", True, "resnet50 on log-mel spectrograms; wants a GPU"),
    )
}


def find_family(name: str) -> Family:
    """The family of that name.

    Raises:
        InvalidInput: there is none; the nearest name is in the message.
    """
    if name in FAMILIES:
        return FAMILIES[name]
    meant = nearest(name, FAMILIES)
    known = ", ".join(FAMILIES)
    raise InvalidInput(
        "unknown model name", value=name, allowed=f"{known}; did you mean {meant}?" if meant else known
    )


def check_kind(family: Family, kind: str, source: str) -> None:
    """Refuse a family for sounds on pictures, and the reverse."""
    if family.kind != kind:
        fitting = ", ".join(name for name, other in FAMILIES.items() if other.kind == kind)
        words = {"image": "pictures", "audio": "sounds"}
        raise InvalidInput(
            f"{family.name} is trained on {words[family.kind]}, but {source} holds {words[kind]}",
            value=family.name,
            allowed=fitting,
        )
