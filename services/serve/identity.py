"""Who answers: the version and the digests of what this process holds in memory."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from services.common.errors import IntegrityError

if TYPE_CHECKING:
    from services.bundle.reader import Bundle
    from services.serve.settings import ServeSettings


@dataclass(frozen=True)
class Identity:
    """The body of `/version`. Digests are of the bytes the sessions were made from; empty strings: not known."""

    application: str
    model_name: str
    model_version: str
    run_id: str
    bundle_digest: str
    model_digest: str
    novelty_digest: str
    image_digest: str
    environment: str
    code_revision: str
    dataset_digest: str

    def as_dict(self) -> dict[str, str]:
        """Flat, so that a workflow can read it."""
        return asdict(self)


def identify(bundle: Bundle, settings: ServeSettings, model_digest: str, novelty_digest: str) -> Identity:
    """The identity of a bundle served with these settings.

    Raises:
        IntegrityError: the settings expect another bundle.
    """
    if settings.expected_digest and settings.expected_digest != bundle.digest:
        raise IntegrityError(
            "the bundle is not the one that was promised",
            value=bundle.digest,
            allowed=settings.expected_digest,
        )
    manifest = bundle.manifest
    return Identity(
        application=settings.application or manifest.application,
        model_name=manifest.model_name,
        model_version=settings.model_version,
        run_id=manifest.run_id,
        bundle_digest=bundle.digest,
        model_digest=model_digest,
        novelty_digest=novelty_digest,
        image_digest=settings.image_digest,
        environment=settings.environment,
        code_revision=manifest.code_revision,
        dataset_digest=manifest.dataset.digest,
    )
