"""References are read strictly; what a real registry does is in tests/local."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.digest import digest_bytes
from services.common.errors import IntegrityError, InvalidInput
from tests.support.release import digest
from workflows.release.base import MANIFEST
from workflows.release.image import ImageStore
from workflows.release.registry import Registry, parse_reference


@pytest.mark.parametrize(
    ("text", "scheme", "name", "version"),
    [
        ("127.0.0.1:5000/rookery/digits", "http", "127.0.0.1:5000/rookery/digits", None),
        ("registry.example/a", "https", "registry.example/a", None),
        ("http://registry.rookery.svc:5000/a/b:v1", "http", "registry.rookery.svc:5000/a/b", "v1"),
        (f"localhost:5000/a@{digest('x')}", "http", "localhost:5000/a", digest("x")),
        ("https://localhost/a", "https", "localhost/a", None),
        ("registry.rookery.svc:5000/a", "http", "registry.rookery.svc:5000/a", None),
        ("registry.rookery.svc/a", "https", "registry.rookery.svc/a", None),
    ],
)
def test_references(text: str, scheme: str, name: str, version: str | None) -> None:
    found = parse_reference(text)
    assert (found.scheme, found.name, found.version) == (scheme, name, version)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "host/",
        "host/../x",
        "host/A",
        "host/a b",
        "host/a@sha256:0",
        "host/a:!",
        "-h/a",
        "ho st/a",
        "ftp://h/a",
        "h/a?x=1",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_reference(text)


class Upstream:
    """A registry with one image whose layer can be made longer than its manifest says."""

    def __init__(self) -> None:
        self.layer = b"layer"
        self.config = b"{}"
        described = [{"digest": digest_bytes(data), "size": len(data)} for data in (self.config, self.layer)]
        content = {"mediaType": MANIFEST, "config": described[0], "layers": described[1:]}
        self.manifest = json.dumps(content).encode()
        self.image, self.blob = digest_bytes(self.manifest), described[1]["digest"]

    def answer(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.rpartition("/")[2]
        bodies = {self.image: self.manifest, digest_bytes(self.config): self.config, self.blob: self.layer}
        return httpx.Response(200, content=bodies[name])

    def pull(self, store: ImageStore) -> None:
        with Registry("http://registry/a") as registry:
            registry._http = httpx.Client(
                base_url="http://registry", transport=httpx.MockTransport(self.answer)
            )
            registry.pull(self.image, store)


def test_a_damaged_copy_is_loaded_again(tmp_path: Path) -> None:
    upstream, store = Upstream(), ImageStore(tmp_path)
    upstream.pull(store)
    store.blobs.path(upstream.blob).write_bytes(b"other")
    upstream.pull(store)
    assert store.blobs.read(upstream.blob, max_bytes=9) == b"layer"


def test_a_layer_that_does_not_end_is_cut_off(tmp_path: Path) -> None:
    upstream, store = Upstream(), ImageStore(tmp_path)
    upstream.layer = bytes(8 << 20)
    with pytest.raises(IntegrityError, match="larger than its manifest"):
        upstream.pull(store)
    assert not store.blobs.has(upstream.blob)


@given(st.text(max_size=60))
def test_no_text_leads_out_of_the_path(text: str) -> None:
    try:
        found = parse_reference(text)
    except InvalidInput:
        return
    assert ".." not in found.repository.split("/")
    assert not set(found.name) & set("?#@ \n")
