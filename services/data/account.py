"""`python -m services.data.account BUCKET`: the object store gets an account that may use one bucket and nothing else.

For a MinIO that was just installed. The endpoint is the setting ROOKERY_S3_ENDPOINT; the keys of its root and those of
the account are files, as Kubernetes mounts a Secret. Can be repeated: a changed key is taken over.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from services.common.errors import InvalidInput, RookeryError, Unavailable
from services.data.store import ObjectStoreSettings, connect

WAIT_SECONDS = 300.0


def bucket_policy(bucket: str, reads: Sequence[str] = ()) -> dict[str, Any]:
    """The policy that allows everything in one bucket, and to make it; of the buckets in `reads`, to read them."""

    def allowed(actions: list[str], *buckets: str) -> dict[str, Any]:
        places = [f"arn:aws:s3:::{name}{rest}" for name in buckets for rest in ("", "/*")]
        return {"Effect": "Allow", "Action": actions, "Resource": places}

    statements = [allowed(["s3:*"], bucket)]
    if reads:
        statements.append(allowed(["s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation"], *reads))
    return {"Version": "2012-10-17", "Statement": statements}


def ensure_account(
    settings: ObjectStoreSettings,
    account: tuple[str, str],
    bucket: str,
    wait_seconds: float = WAIT_SECONDS,
    *,
    make_bucket: bool = False,
    reads: Sequence[str] = (),
) -> None:
    """Make or renew an account, its key and its policy, as the root that the settings name.

    Args:
        account: access key and secret key.
        make_bucket: also make the bucket, if there is none; else whoever has the account makes it.
        reads: other buckets that it may read.

    Raises:
        InvalidInput: the account is the root itself, or the store refuses it; the text never has a key.
        Unavailable: the store does not answer within `wait_seconds`.
    """
    from minio.credentials.providers import StaticProvider
    from minio.error import MinioAdminException, S3Error
    from minio.minioadmin import MinioAdmin
    from urllib3.exceptions import HTTPError

    root = settings.access_key.get_secret_value()
    if account[0] == root:
        raise InvalidInput("the account of a bucket cannot be the store's root", allowed="another access key")
    admin = MinioAdmin(
        endpoint=settings.endpoint,
        credentials=StaticProvider(root, settings.secret_key.get_secret_value()),
        secure=settings.secure,
    )
    end = time.monotonic() + wait_seconds
    while True:
        try:
            admin.policy_add(f"bucket-{bucket}", policy=bucket_policy(bucket, reads))
            admin.user_add(*account)
            admin.policy_set(f"bucket-{bucket}", user=account[0])
            if make_bucket:
                with connect(settings) as client:
                    if not client.bucket_exists(bucket):
                        client.make_bucket(bucket)
            return
        except MinioAdminException as error:
            if not str(error._code).startswith("5"):
                raise InvalidInput(f"the object store refuses the account: {error._code}") from error
            problem: Exception = error
        except (S3Error, HTTPError, OSError) as error:
            problem = error
        if time.monotonic() > end:
            raise Unavailable(
                f"the object store did not answer in {wait_seconds:.0f} s: {type(problem).__name__}"
            )
        time.sleep(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the files and make the account; the exit code is 1 when that fails."""
    parser = argparse.ArgumentParser(prog="python -m services.data.account", description=__doc__)
    parser.add_argument("bucket")
    for name in ("root-user", "root-password", "access-key", "secret-key"):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="FILE")
    parser.add_argument("--reads", action="append", default=[], metavar="BUCKET", help="another to read only")
    parser.add_argument("--make-bucket", action="store_true", help="also make the bucket, if there is none")
    given = parser.parse_args(arguments)
    try:
        root, password, access, secret = (
            path.read_text().strip()
            for path in (given.root_user, given.root_password, given.access_key, given.secret_key)
        )
        settings = ObjectStoreSettings.read(access_key=root, secret_key=password)
        ensure_account(
            settings, (access, secret), given.bucket, make_bucket=given.make_bucket, reads=given.reads
        )
    except OSError as error:
        print(f"a key cannot be read: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except RookeryError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    print(f"the bucket {given.bucket} has its account")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
