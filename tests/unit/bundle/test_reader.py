from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.bundle import reader
from services.bundle.reader import bundle_digest, digest_contents, digest_entries, read_bundle
from services.bundle.writer import write_bundle
from services.common.digest import canonical_json, digest_bytes
from services.common.errors import IntegrityError, InvalidInput, NotFound, RookeryError, TooLarge
from tests.support.media import golden, manifest, onnx_model

FILES = ("model.onnx", "novelty.onnx", "bundle.json", "golden.npz")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "bundle", manifest(), onnx_model(), onnx_model("score"), golden())
    return tmp_path / "bundle"


def test_what_is_read_is_what_the_digest_says(folder: Path) -> None:
    bundle = read_bundle(folder, expected_digest=bundle_digest(folder))
    assert bundle.model == onnx_model()
    assert bundle.model_digest == digest_bytes(bundle.model)
    assert bundle.novelty_digest == digest_bytes(bundle.novelty)
    assert bundle.manifest == manifest()
    assert bundle.golden.inputs == golden().inputs


@pytest.mark.parametrize("name", FILES)
def test_one_altered_byte_is_refused_by_digest(folder: Path, name: str) -> None:
    promised = bundle_digest(folder)
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(IntegrityError, match="altered") as caught:
        read_bundle(folder, promised)
    assert promised in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    for read in (read_bundle, bundle_digest):
        with pytest.raises(NotFound, match=name):
            read(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_link_is_refused(folder: Path, name: str, tmp_path: Path) -> None:
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    with pytest.raises(InvalidInput, match="plain files"):
        read_bundle(folder)


def test_a_file_that_does_not_belong_is_refused(folder: Path) -> None:
    (folder / "model.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(InvalidInput, match=r"model\.pkl"):
        read_bundle(folder)


def test_a_file_over_its_bound_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(reader.MAX_FILE_BYTES, "model.onnx", 10)
    with pytest.raises(TooLarge, match=r"model\.onnx"):
        read_bundle(folder)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"{}", "valid at"),
        (b"not json", "whole file"),
        (canonical_json({**manifest().model_dump(mode="json", by_alias=True), "extra": 1}), "extra"),
        (
            canonical_json(
                {**manifest().model_dump(mode="json", by_alias=True), "schema": "rookery.bundle/2"}
            ),
            "schema",
        ),
    ],
)
def test_a_manifest_that_is_not_understood_is_refused(folder: Path, content: bytes, named: str) -> None:
    (folder / "bundle.json").write_bytes(content)
    with pytest.raises(InvalidInput, match=named):
        read_bundle(folder)


@given(st.permutations(FILES), st.dictionaries(st.sampled_from(FILES), st.binary(max_size=20)))
def test_the_digest_does_not_depend_on_the_order_of_files(
    order: list[str], contents: dict[str, bytes]
) -> None:
    shuffled = {name: contents[name] for name in order if name in contents}
    assert digest_contents(shuffled) == digest_contents(contents)


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_the_digest_depends_on_which_file_holds_what(first: bytes, second: bytes) -> None:
    one = digest_contents({"a": first, "b": second})
    assert (one == digest_contents({"a": second, "b": first})) is (first == second)


def test_the_digest_is_the_documented_one() -> None:
    entry = {"path": "a", "size": 1, "sha256": digest_bytes(b"x")}
    text = f'{{"path":"a","sha256":"{digest_bytes(b"x")}","size":1}}'
    assert digest_entries([entry]) == digest_bytes(f"[{text}]".encode())


def test_every_refusal_is_one_that_a_user_can_act_on(tmp_path: Path) -> None:
    with pytest.raises(RookeryError, match="no such file"):
        read_bundle(tmp_path / "nowhere")
