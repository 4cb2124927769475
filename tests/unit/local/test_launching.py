"""From a template to a process: paths moved into the step's folder, values left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.common.errors import InvalidInput, Refused
from workflows.local.launching import (
    is_runner,
    output_paths,
    path_rewriter,
    prepare,
    read_outputs,
    step_deadline,
)
from workflows.local.models import Template
from workflows.local.process import PACKAGE_ROOT
from workflows.local.supervisor import StepSpec


def _template(paths: dict[str, str], *, default: str | None = None, **container: Any) -> Template:
    source = {
        name: {"path": path} | ({} if default is None else {"default": default})
        for name, path in paths.items()
    }
    return Template.model_validate(
        {
            "name": "t",
            "outputs": {"parameters": [{"name": name, "valueFrom": value} for name, value in source.items()]},
            "container": {"image": "rookery/x", "command": ["sh"], **container},
        }
    )


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("cat > /tmp/out.txt", True),
        ("/tmp/out.txt", True),
        ("x=/tmp/out.txt;", True),
        ("'/tmp/out.txt'", True),
        ("see /tmp/out.txt.", True),
        ("/tmp/out.txt2", False),
        ("/tmp/out.txt.bak", False),
        ("/x/tmp/out.txt", False),
        ("/tmp/out.txt-x", False),
        ("/tmp/out", False),
    ],
)
def test_only_the_declared_path_is_moved(text: str, moved: bool) -> None:
    rewrite = path_rewriter(_template({"o": "/tmp/out.txt"}), Path("/step"))
    assert rewrite(text) == (text.replace("/tmp/out.txt", "/step/outputs/tmp/out.txt") if moved else text)


def test_heras_folder_is_moved_with_all_below_it() -> None:
    template = _template({}, env=[{"name": "hera__outputs_directory", "value": "/tmp/hera-outputs"}])
    assert (
        path_rewriter(template, Path("/s"))("/tmp/hera-outputs/parameters/x")
        == "/s/outputs/tmp/hera-outputs/parameters/x"
    )


def test_values_are_put_in_after_paths_are_moved(tmp_path: Path) -> None:
    template = _template(
        {"o": "/tmp/o"}, args=["{{inputs.parameters.v}}", "/tmp/o", "{{outputs.parameters.o.path}}"]
    )
    spec = prepare(
        template,
        {"inputs.parameters.v": "/tmp/o"},
        tmp_path / "s",
        config=tmp_path,
        host_images=[],
        deadline=None,
    )
    moved = f"{tmp_path}/s/outputs/tmp/o"
    assert spec.argv == ["sh", "/tmp/o", moved, moved]
    assert StepSpec.load(tmp_path / "s") == spec
    assert Path(moved).parent.is_dir()


def test_a_script_is_a_file_and_the_last_argument(tmp_path: Path) -> None:
    template = Template.model_validate(
        {
            "name": "t",
            "script": {
                "image": "rookery/x",
                "command": ["python"],
                "args": ["-u"],
                "source": "print('{{x}}')",
            },
        }
    )
    spec = prepare(template, {"x": "é'"}, tmp_path / "s", config=tmp_path, host_images=[], deadline=None)
    assert spec.argv[:2] == ["python", "-u"]
    assert Path(spec.argv[2]).read_text(encoding="utf-8") == "print('é'')"


@pytest.mark.parametrize("path", ["/../../x", "..", "/", "/a/../../../x"])
def test_no_output_lies_outside(tmp_path: Path, path: str) -> None:
    with pytest.raises(Refused, match="outside"):
        output_paths(_template({"o": path}), {}, tmp_path)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    (tmp_path / "secret").write_text("s")
    (tmp_path / "outputs" / "o").symlink_to(tmp_path / "secret")
    with pytest.raises(Refused, match="outside"):
        read_outputs(_template({"o": "/o"}), {}, tmp_path)


def test_outputs_are_read_without_their_last_newline(tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "o").write_text("a\n\n")
    assert read_outputs(_template({"o": "/o"}), {}, tmp_path) == {"o": "a\n"}
    assert read_outputs(_template({"n": "/n"}, default="d"), {}, tmp_path) == {"n": "d"}
    with pytest.raises(InvalidInput, match="cannot save parameter n: the step wrote no /n"):
        read_outputs(_template({"n": "/n"}), {}, tmp_path)
    (tmp_path / "outputs" / "o").write_bytes(b"\xff")
    with pytest.raises(InvalidInput, match="UTF-8"):
        read_outputs(_template({"o": "/o"}), {}, tmp_path)
    (tmp_path / "outputs" / "o").write_bytes(b"x" * (1 << 20))
    with pytest.raises(InvalidInput, match="too large"):
        read_outputs(_template({"o": "/o"}), {}, tmp_path)


def test_another_image_is_refused_also_when_a_value_names_it(tmp_path: Path) -> None:
    template = _template({}, image="{{inputs.parameters.i}}")
    with pytest.raises(Refused, match="image evil"):
        prepare(
            template,
            {"inputs.parameters.i": "evil"},
            tmp_path,
            config=tmp_path,
            host_images=[],
            deadline=None,
        )


@pytest.mark.parametrize(
    ("argv", "env", "warm"),
    [
        (["python", "-m", "hera.workflows.runner", "-e", "a:b", "f"], {}, True),
        (["python", "-m", "workflows.steps.run", "a:b", "o", "f"], {}, True),
        (["python", "-m"], {}, False),
        (["/usr/bin/python", "-m", "hera.workflows.runner"], {}, False),
        (["python", "-m", "other"], {}, False),
        (["python", "-m", "hera.workflows.runner"], {"PYTHONOPTIMIZE": "1"}, False),
        (["python", "-m", "hera.workflows.runner"], {"PYTHONPATH": "/other"}, False),
        (["sh", "-m", "hera.workflows.runner"], {}, False),
    ],
)
def test_when_the_warm_runner_stands_in(argv: list[str], env: dict[str, str], warm: bool) -> None:
    assert is_runner(argv, {"PYTHONPATH": str(PACKAGE_ROOT), **env}) is warm


def test_the_earlier_limit_ends_a_step() -> None:
    template = Template.model_validate(
        {"name": "t", "activeDeadlineSeconds": "{{d}}", "timeout": "1m", "container": {"image": "rookery/x"}}
    )
    assert step_deadline(template, {"d": "10"}, 100.0, 130.0) == 140.0
    assert step_deadline(template, {"d": "100"}, 100.0, 130.0) == 160.0
    assert step_deadline(_template({}), {}, 1.0, 2.0) is None
