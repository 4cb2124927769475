"""The reference says what the code says: settings, endpoints, templates, hyperparameters, commands and errors."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from tests.support.gitops import REPOSITORY


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "generate", REPOSITORY / "docs" / "reference" / "generate.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_of_the_reference_is_what_the_code_says(generate: ModuleType) -> None:
    assert generate.differing() == [], "run: python docs/reference/generate.py"


def test_the_reference_has_what_users_look_for(generate: ModuleType) -> None:
    pages = generate.pages()
    for page, wanted in (
        ("settings.md", "ROOKERY_TRAIN_PORT"),
        ("endpoints.md", "POST /predict"),
        ("endpoints.md", "GET /get-version"),
        ("templates.md", "`source-environment`"),
        ("hyperparameters.md", "`label_noise`"),
        ("cli.md", "## rookery rollback"),
        ("errors.md", "`unsupported-media`"),
    ):
        assert wanted in pages[page]


def test_every_link_in_the_documentation_leads_somewhere() -> None:
    import re

    for page in [REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
