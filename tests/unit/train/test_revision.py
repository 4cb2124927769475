from __future__ import annotations

from services.train.revision import UNKNOWN, code_revision


def test_a_given_revision_stands_and_git_is_asked_otherwise() -> None:
    assert code_revision("abc") == "abc"
    found = code_revision()
    assert found == UNKNOWN or len(found.removesuffix("-dirty")) == 40
