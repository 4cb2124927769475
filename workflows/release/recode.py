"""When the serving code has changed: the model that runs goes on the new base, and through staging again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.common.digest import short
from services.common.errors import Refused
from workflows.release.application import list_applications, load_application
from workflows.release.base import ServingBase
from workflows.release.evidence import Evidence, released
from workflows.release.images import Images
from workflows.release.quarantine import find
from workflows.release.tree import Tree

ALL = "all"


@dataclass(frozen=True)
class Move:
    """A release whose bundle shall go on another serving base.

    Attributes:
        evidence: of the release as it is now.
        environment: the first environment of the application, where it enters again.
    """

    evidence: Evidence
    environment: str

    @property
    def application(self) -> str:
        return self.evidence.application


def candidate(tree: Tree, application: str) -> Move | None:
    """The newest model that an application has in an environment and that is not in quarantine.

    Of two environments with the same version the one nearer to staging counts: its image is the newer one.

    Raises:
        NotFound: there is no such application.
    """
    facts = load_application(tree, application)
    found = [there.evidence for name in facts.environments if (there := released(tree, application, name))]
    good = [one for one in found if find(tree, application, one.image_digest, one.bundle_digest) is None]
    if not good:
        return None
    return Move(max(good, key=lambda one: one.version), facts.environments[0])


def moves(
    tree: Tree, application: str, base: ServingBase, labels: Callable[[str, str], dict[str, str]]
) -> list[Move]:
    """What has to be put on a serving base.

    Args:
        application: its name, or `all`.
        labels: the labels of an image, asked by application and digest.

    Raises:
        NotFound: there is no such application.
        Refused: there is nothing to do; each application with its reason.
    """
    found, reasons = [], []
    for name in list_applications(tree) if application == ALL else [application]:
        move = candidate(tree, name)
        if move is None:
            reasons.append(f"{name} has no released model")
        elif base.is_under(labels(name, move.evidence.image_digest)):
            version = move.evidence.model_version
            reasons.append(f"version {version} of {name} is on serving base {short(base.identity)} already")
        else:
            found.append(move)
    if not found:
        raise Refused("nothing to put on another serving base: " + ("; ".join(reasons) or "no applications"))
    return found


def recoded(
    images: Images, move: Move, base: ServingBase, *, requested_by: str, workflow: str, released_at: str
) -> Evidence:
    """Publish the image on the new base; returns the evidence of its release, which is not yet committed.

    What the same workflow has released already is answered as it is.

    Raises:
        Refused: the image is on this base already.
        NotFound, IntegrityError: the image that runs is not whole.
    """
    old = move.evidence
    if (old.workflow, old.serving_base) == (workflow, base.identity):
        return old
    image = images.rebase(old.application, old.image_digest, base)
    if image == old.image_digest:
        raise Refused(
            f"version {old.model_version} of {old.application} is on this serving base already",
            value=short(base.identity),
        )
    return old.model_copy(
        update={
            "environment": move.environment,
            "action": "release",
            "source_environment": None,
            "source_verification": None,
            "image_digest": image,
            "image_name": images.name(old.application),
            "serving_base": base.identity,
            "rebased_from": old.image_digest,
            "restored_from": None,
            "requested_by": requested_by,
            "workflow": workflow,
            "released_at": released_at,
        }
    )
