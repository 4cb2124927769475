"""An account of one bucket in a real MinIO."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from minio import Minio
from minio.error import S3Error

from services.common.errors import InvalidInput, Unavailable
from services.data.account import ensure_account, main
from tests.local.data.conftest import Store


def client(store: Store, access: str, secret: str) -> Minio:
    return Minio(store.settings.endpoint, access_key=access, secret_key=secret, secure=False)


def test_an_account_has_its_bucket_and_nothing_else(minio_store: Store) -> None:
    other = minio_store.bucket()
    for secret in ("first-secret", "second-secret"):
        ensure_account(minio_store.settings, ("mlflow-account", secret), "mlflow-bucket")
    own = client(minio_store, "mlflow-account", "second-secret")
    own.make_bucket("mlflow-bucket")
    assert list(own.list_objects("mlflow-bucket")) == []
    assert own.bucket_exists("mlflow-bucket")
    for refused in (
        lambda: own.make_bucket("another"),
        lambda: list(own.list_objects(other)),
        lambda: list(client(minio_store, "mlflow-account", "first-secret").list_objects("mlflow-bucket")),
    ):
        with pytest.raises(S3Error, match=r"AccessDenied|SignatureDoesNotMatch"):
            refused()


def test_a_bucket_is_made_once_with_its_account(minio_store: Store) -> None:
    for _ in range(2):
        ensure_account(minio_store.settings, ("maker", "maker-secret"), "made-for-it", make_bucket=True)
    assert list(client(minio_store, "maker", "maker-secret").list_objects("made-for-it")) == []


def test_an_account_may_read_another_bucket_and_no_more(minio_store: Store) -> None:
    ensure_account(minio_store.settings, ("writer", "writer-secret"), "of-the-writer", make_bucket=True)
    client(minio_store, "writer", "writer-secret").put_object("of-the-writer", "a/b", io.BytesIO(b"x"), 1)
    reads = ["of-the-writer"]
    ensure_account(minio_store.settings, ("reader", "reader-secret"), "of-the-reader", reads=reads)
    own = client(minio_store, "reader", "reader-secret")
    assert [item.object_name for item in own.list_objects("of-the-writer", recursive=True)] == ["a/b"]
    assert own.get_object("of-the-writer", "a/b").data == b"x"
    for refused in (
        lambda: own.put_object("of-the-writer", "c", io.BytesIO(b"y"), 1),
        lambda: own.remove_object("of-the-writer", "a/b"),
    ):
        with pytest.raises(S3Error, match="AccessDenied"):
            refused()


def test_the_root_is_no_account(minio_store: Store) -> None:
    root = minio_store.settings.access_key.get_secret_value()
    with pytest.raises(InvalidInput, match="cannot be the store's root"):
        ensure_account(minio_store.settings, (root, "whatever-it-is"), "mlflow")


def test_a_wrong_root_and_a_store_that_is_away(minio_store: Store) -> None:
    from pydantic import SecretStr

    wrong = minio_store.settings.model_copy(update={"secret_key": SecretStr("not-the-password")})
    with pytest.raises(InvalidInput, match="refuses the account") as told:
        ensure_account(wrong, ("someone", "some-secret"), "mlflow")
    assert "not-the-password" not in str(told.value)
    away = minio_store.settings.model_copy(update={"endpoint": "127.0.0.1:1"})
    with pytest.raises(Unavailable, match="did not answer in 0 s"):
        ensure_account(away, ("someone", "some-secret"), "mlflow", wait_seconds=0)


def test_the_command_reads_files(
    minio_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROOKERY_S3_ENDPOINT", minio_store.settings.endpoint)
    monkeypatch.setenv("ROOKERY_S3_SECURE", "false")
    values = {
        "root-user": minio_store.settings.access_key.get_secret_value(),
        "root-password": minio_store.settings.secret_key.get_secret_value(),
        "access-key": "by-command",
        "secret-key": "by-command-secret",
    }
    words = ["commands"]
    for name, value in values.items():
        (tmp_path / name).write_text(value + "\n")
        words += [f"--{name}", str(tmp_path / name)]
    assert main(words) == 0
    client(minio_store, "by-command", "by-command-secret").make_bucket("commands")
    (tmp_path / "secret-key").unlink()
    assert main(words) == 1
    said = capsys.readouterr()
    assert "cannot be read" in said.err and values["root-password"] not in said.out + said.err
