"""A layer depends on names and bytes alone, and nothing in it leaves the folder."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.common.digest import digest_bytes
from services.common.errors import IntegrityError
from workflows.release.layer import TAR, TAR_GZIP, HashingWriter, read_layer, write_layer

NAMES = st.lists(
    st.from_regex(r"[a-z]{1,4}(/[a-z]{1,4}){0,2}\.x", fullmatch=True), min_size=1, max_size=6, unique=True
)


def packed(files: dict[str, Path]) -> tuple[bytes, HashingWriter]:
    buffer = io.BytesIO()
    writer = HashingWriter(buffer)
    write_layer(writer, files)
    return buffer.getvalue(), writer


def unpacked(data: bytes, media_type: str = TAR) -> dict[str, bytes]:
    return {member.name: b"".join(member.chunks()) for member in read_layer(io.BytesIO(data), media_type)}


def archive(*members: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"\0" * member.size))
    return buffer.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, 4 if kind == tarfile.REGTYPE else 0
    return info


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=NAMES, data=st.data())
def test_equal_files_give_equal_bytes_whatever_the_disk_says_of_them(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], data: st.DataObject
) -> None:
    layers = []
    contents = {name: data.draw(st.binary(max_size=2000)) for name in names}
    for order in (names, data.draw(st.permutations(names))):
        folder = tmp_path_factory.mktemp("files")
        files = {}
        for at, name in enumerate(order):
            files[name] = folder / str(at)
            files[name].write_bytes(contents[name])
            os.utime(files[name], (at * 1000, at * 1000))
            files[name].chmod(0o600 if at % 2 else 0o755)
        layers.append(packed(files))
    (first, writer), (second, _) = layers
    assert first == second
    assert (writer.digest, writer.size) == (digest_bytes(first), len(first))
    assert unpacked(first) == contents
    assert unpacked(gzip.compress(first), TAR_GZIP) == contents


def test_folders_come_before_their_files_with_fixed_owner_and_time(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"data")
    data, _ = packed({"bundle/sub/model.onnx": tmp_path / "f"})
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert [member.name for member in tar] == ["bundle", "bundle/sub", "bundle/sub/model.onnx"]
        assert {(m.uid, m.gid, m.mtime, m.uname) for m in tar.getmembers()} == {(0, 0, 0, "")}
        assert [oct(member.mode) for member in tar.getmembers()] == ["0o755", "0o755", "0o644"]


@pytest.mark.parametrize(
    "member",
    [
        entry("/etc/passwd"),
        entry("../x"),
        entry("a/../../x"),
        entry("a\\..\\x"),
        entry("link", tarfile.SYMTYPE, "/etc/passwd"),
        entry("link", tarfile.LNKTYPE, "a"),
        entry("device", tarfile.CHRTYPE),
        entry("pipe", tarfile.FIFOTYPE),
        entry("a/.wh.b"),
    ],
)
def test_what_could_leave_the_folder_is_refused(member: tarfile.TarInfo) -> None:
    with pytest.raises(IntegrityError):
        unpacked(archive(member))


def test_other_compressions_and_broken_archives_are_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"data" * 1000)
    data, _ = packed({"f": tmp_path / "f"})
    with pytest.raises(IntegrityError, match="cannot be read"):
        unpacked(data, "application/vnd.oci.image.layer.v1.tar+zstd")
    with pytest.raises(IntegrityError, match="no archive"):
        unpacked(data[:2000])
    with pytest.raises(IntegrityError, match="no archive"):
        unpacked(data, TAR_GZIP)


def test_a_file_that_shrinks_while_it_is_packed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * (8 << 20))

    class Shrinking(io.BytesIO):
        def write(self, data: bytes, /) -> int:  # type: ignore[override]
            if path.stat().st_size > 4096 and self.tell() > 0:
                os.truncate(path, 4096)
            return super().write(data)

    with pytest.raises(IntegrityError, match="changed while it was packed"):
        write_layer(Shrinking(), {"f": path})
