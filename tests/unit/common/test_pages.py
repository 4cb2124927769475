"""Templates escape what they are given, and miss nothing silently."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from services.common.pages import templates


def test_what_is_given_is_escaped_and_what_is_missing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "page.txt").write_text("{% if name %}\n  {{ name | loud }} {{ other }}\n{% endif %}\n")
    page = templates(tmp_path, {"loud": str.upper}).get_template("page.txt")
    assert page.render(name="<b>", other="'") == "  &lt;B&gt; &#39;\n"
    with pytest.raises(UndefinedError, match="other"):
        page.render(name="x")
