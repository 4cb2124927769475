from __future__ import annotations

from pathlib import Path

import pytest

from services.common.errors import InvalidInput, NotFound
from services.data.store import ObjectStoreSettings
from services.monitor.objects import BucketObjects, FolderObjects, open_objects


def test_objects_of_a_folder(tmp_path: Path) -> None:
    objects = open_objects(str(tmp_path), None)
    for key in ("b/2", "a/1", "a/x/1", "ab/1"):
        objects.put(key, key.encode())
    objects.put("a/1", b"again")
    assert objects.get("a/1") == b"again"
    assert [(item.key, item.size) for item in objects.list("a")] == [("a/1", 5), ("a/x/1", 5)]
    objects.delete("a/1")
    objects.delete("a/1")
    with pytest.raises(NotFound):
        objects.get("a/1")
    assert list(objects.list("nothing")) == []
    objects.check()


@pytest.mark.parametrize("key", ["../x", "/etc/passwd", "a//b", "a/../../b", "a/\0", "", "a\\b"])
def test_a_key_leads_nowhere_else(tmp_path: Path, key: str) -> None:
    with pytest.raises(InvalidInput, match="no name of an object"):
        FolderObjects(tmp_path / "store").put(key, b"x")
    assert not (tmp_path / "x").exists()


def test_a_bucket_needs_an_object_store() -> None:
    with pytest.raises(InvalidInput, match="ROOKERY_S3_ENDPOINT"):
        open_objects("s3://bucket/log", ObjectStoreSettings())
    made = open_objects("s3://bucket/log", ObjectStoreSettings(endpoint="127.0.0.1:1"))
    assert isinstance(made, BucketObjects)
    with pytest.raises(InvalidInput, match="bucket"):
        open_objects("s3://UPPER", ObjectStoreSettings(endpoint="127.0.0.1:1"))
