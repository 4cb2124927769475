"""The runs of the local engine, as the platform and the commands see them."""

from __future__ import annotations

from workflows.local.settings import PlatformSettings


def stop_all(settings: PlatformSettings) -> list[str]:
    """Stops the engines that are at work so that they can be resumed; returns the names of their runs."""
    return []
