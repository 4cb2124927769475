"""The manifests built once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.manifests import WITH_GATEWAY, Resource, build, overlays, sample_site

Built = dict[str, list[Resource]]


@pytest.fixture(scope="session")
def neutral() -> Built:
    """Folder → resources, as the repository has them."""
    from tests.support.manifests import ROOT

    return {str(folder): build(ROOT / folder) for folder in overlays()}


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Folder → resources, with the facts of an imagined site and a release in each environment."""
    root: Path = sample_site(tmp_path_factory.mktemp("site"))
    return {str(folder): build(root / folder) for folder in overlays(root)}


@pytest.fixture(scope="session")
def gateway_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a site that has a gateway."""
    return sample_site(tmp_path_factory.mktemp("gateway"), WITH_GATEWAY)


@pytest.fixture(scope="session")
def gated(gateway_root: Path) -> Built:
    """Folder → resources of that site."""
    return {str(folder): build(gateway_root / folder) for folder in overlays(gateway_root)}
