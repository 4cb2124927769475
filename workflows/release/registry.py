"""Images in a registry: push, pull, check, and the base of a model image; no daemon, no client program.

Source: OCI distribution specification 1.1.
"""

from __future__ import annotations

import base64
import json
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urljoin

import httpx

from services.common.digest import digest_bytes, is_digest
from services.common.errors import IntegrityError, NotFound, RookeryError, Unavailable
from services.common.trust import authorities
from workflows.release.base import BASE_DIGEST, INDEX, MANIFEST, Layer, ServingBase
from workflows.release.image import ImageStore, has_remote_base
from workflows.release.layer import DOCKER_GZIP, TAR_GZIP, HashingWriter
from workflows.release.reference import Reference, RegistrySettings, parse_reference

_DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
_ACCEPT = ", ".join((MANIFEST, INDEX, _DOCKER_MANIFEST, _DOCKER_INDEX))
_BASE_NAME = "org.opencontainers.image.base.name"
_TRIES = 4
# A registry that is read-only while somebody clears it up, and one that is asked too often: it may take it later.
_PASSING = frozenset({httpx.codes.METHOD_NOT_ALLOWED, httpx.codes.TOO_MANY_REQUESTS})

__all__ = [
    "Reference",
    "Registry",
    "RegistryError",
    "RegistrySettings",
    "parse_reference",
    "push",
    "serving_base",
]

_JSON_BYTES = 4 << 20


class RegistryError(RookeryError):
    """A registry refused a call; its own message is kept."""

    code = "registry"
    status = 502


class Registry:
    """One repository of a registry.

    Args:
        reference: as text; its digest or tag does not matter here.
    """

    def __init__(self, reference: str, settings: RegistrySettings | None = None) -> None:
        self.place = parse_reference(reference)
        self.settings = settings or RegistrySettings()
        secret = self.settings.password.get_secret_value()
        self._login = (self.settings.username, secret) if self.settings.username else None
        self._authorization: str | None = None
        self._http = httpx.Client(
            base_url=f"{self.place.scheme}://{self.place.host}",
            timeout=self.settings.timeout_seconds,
            follow_redirects=True,
            verify=authorities(),
        )

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def push(self, store: ImageStore, digest: str, *, tag: str | None = None) -> int:
        """Bring an image there; returns the bytes of blobs that were sent.

        Blobs that the repository has are not sent; those of the base are mounted from the base's repository.

        Raises:
            NotFound, IntegrityError: the image on disk is not whole.
            RegistryError: the registry refuses.
            Unavailable: it does not answer.
        """
        store.check(digest)
        manifest = store.manifest(digest)
        base = manifest.get("annotations", {}).get(_BASE_NAME)
        sent = 0
        for blob in (*manifest["layers"], manifest["config"]):
            if self.has_blob(blob["digest"]):
                continue
            if store.blobs.has(blob["digest"]):
                with store.blobs.path(blob["digest"]).open("rb") as file:
                    self._upload(file, blob["digest"], blob["size"])
                sent += int(blob["size"])
            elif base is not None and has_remote_base(manifest, blob):
                self._mount(blob["digest"], parse_reference(base))
            else:
                raise NotFound("the image store has no such blob", value=blob["digest"])
        content = store.blobs.read(digest, max_bytes=_JSON_BYTES)
        for version in (digest, tag):
            if version is not None:
                self._put_manifest(version, content, digest)
        return sent

    def copy(self, digest: str, origin: Registry, scratch: Path) -> int:
        """Bring an image of another registry here byte by byte, under the same digest; returns the bytes sent.

        Only what this repository lacks is moved, one blob at a time through a file in `scratch`.

        Raises:
            NotFound, IntegrityError, RegistryError, Unavailable: as `pull` of the one and `push` of the other.
        """
        # A registry keeps what its manifests name, and a manifest is sent after all that it names.
        if self._send("HEAD", f"manifests/{digest}", headers={"Accept": _ACCEPT}, ok=(200, 404)).is_success:
            return 0
        content = origin.manifest_bytes(digest)
        manifest = json.loads(content)
        sent = 0
        for blob in (*manifest["layers"], manifest["config"]):
            if self.has_blob(blob["digest"]):
                continue
            with tempfile.TemporaryDirectory(dir=scratch, prefix="copy-") as folder:
                store = ImageStore(Path(folder))
                origin._download(blob["digest"], int(blob["size"]), store)
                with store.blobs.path(blob["digest"]).open("rb") as file:
                    self._upload(file, blob["digest"], int(blob["size"]))
            sent += int(blob["size"])
        self._put_manifest(digest, content, digest, manifest.get("mediaType", MANIFEST))
        return sent

    def pull(self, digest: str, store: ImageStore, *, base: bool = False) -> None:
        """Copy an image into a store, without the layers of its base unless `base` is set.

        Raises:
            NotFound: there is no such image.
            IntegrityError: the bytes are not what their digest says.
        """
        content = self.manifest_bytes(digest)
        manifest = json.loads(content)
        wanted = [layer for layer in manifest["layers"] if base or not has_remote_base(manifest, layer)]
        for blob in (manifest["config"], *wanted):
            if not _is_whole(store, blob["digest"]):
                self._download(blob["digest"], int(blob["size"]), store)
        store.blobs.write_bytes(content)

    def check(self, digest: str) -> dict[str, str]:
        """See that an image and all its blobs are there; returns its labels.

        Raises:
            NotFound: the image or a blob is missing.
            IntegrityError: manifest or configuration are not what their digest says.
        """
        manifest = json.loads(self.manifest_bytes(digest))
        for blob in manifest["layers"]:
            if not self.has_blob(blob["digest"]):
                raise NotFound(f"{self.place.name} lacks a layer of the image", value=blob["digest"])
        config = json.loads(self.blob_bytes(manifest["config"]["digest"]))
        return dict(config.get("config", {}).get("Labels") or {})

    def manifest_bytes(self, version: str) -> bytes:
        """A manifest by digest or tag, checked when a digest was asked for."""
        answer = self._send("GET", f"manifests/{version}", headers={"Accept": _ACCEPT}, ok=(200,))
        if is_digest(version) and digest_bytes(answer.content) != version:
            raise IntegrityError(f"{self.place.name} gives another manifest", value=version)
        return answer.content

    def blob_bytes(self, digest: str) -> bytes:
        """A small blob, checked."""
        data = self._send("GET", f"blobs/{digest}", ok=(200,)).content
        if digest_bytes(data) != digest:
            raise IntegrityError(f"{self.place.name} gives another blob", value=digest)
        return data

    def has_blob(self, digest: str) -> bool:
        """Whether the repository has a blob."""
        return self._send("HEAD", f"blobs/{digest}", ok=(200, 404)).status_code == httpx.codes.OK

    def _mount(self, digest: str, origin: Reference) -> None:
        if origin.host == self.place.host:
            query = {"mount": digest, "from": origin.repository}
            if (
                self._send("POST", "blobs/uploads/", params=query, ok=(201, 202)).status_code
                == httpx.codes.CREATED
            ):
                return
        raise RegistryError(
            f"a layer of the base cannot be mounted into {self.place.name}",
            value=origin.name,
            allowed="a base in the same registry",
        )

    def _upload(self, file: BinaryIO, digest: str, size: int) -> None:
        begun = self._send("POST", "blobs/uploads/", ok=(202,))
        location = self._location(begun)
        at = tries = 0
        while at < size:
            file.seek(at)
            chunk = file.read(self.settings.chunk_bytes)
            headers = {
                "Content-Type": "application/octet-stream",
                "Content-Range": f"{at}-{at + len(chunk) - 1}",
            }
            answer = self._request("PATCH", location, content=chunk, headers=headers)
            if answer is not None and answer.status_code == httpx.codes.ACCEPTED:
                at, tries = at + len(chunk), 0
                location = self._location(answer)
                continue
            tries += 1
            if tries >= _TRIES:
                self._fail(answer, "a layer could not be sent")
            time.sleep(0.2 * 2**tries)
            state = self._request("GET", location)
            if state is not None and state.status_code == httpx.codes.NO_CONTENT:
                location = self._location(state)
                at = int(state.headers.get("Range", "0--1").rpartition("-")[2] or -1) + 1
        self._send("PUT", location, params={"digest": digest}, ok=(201,))

    def _put_manifest(self, version: str, content: bytes, digest: str, kind: str = MANIFEST) -> None:
        answer = self._send(
            "PUT", f"manifests/{version}", content=content, headers={"Content-Type": kind}, ok=(201,)
        )
        if answer.headers.get("Docker-Content-Digest", digest) != digest:
            raise IntegrityError(f"{self.place.name} took the manifest under another digest", value=digest)

    def _download(self, digest: str, size: int, store: ImageStore) -> None:
        path = f"/v2/{self.place.repository}/blobs/{digest}"
        try:
            with self._http.stream("GET", path, headers=self._headers({})) as answer:
                if answer.status_code != httpx.codes.OK:
                    answer.read()
                    self._fail(answer, "a blob could not be loaded")

                def fill(writer: HashingWriter) -> None:
                    for chunk in answer.iter_bytes(1 << 20):
                        writer.write(chunk)
                        if writer.size > size:
                            raise IntegrityError("a blob is larger than its manifest says", value=digest)

                found, _, _ = store.blobs.write(fill)
        except httpx.TransportError as error:
            raise Unavailable(f"{self.place.name} stopped to answer: {error}") from error
        if found != digest:
            raise IntegrityError(f"{self.place.name} gives another blob", value=found, allowed=digest)

    def _send(self, method: str, path: str, *, ok: tuple[int, ...], **request: Any) -> httpx.Response:
        answer: httpx.Response | None = None
        for attempt in range(_TRIES):
            answer = self._request(method, path, **request)
            if answer is not None and answer.status_code in ok:
                return answer
            if answer is not None and answer.status_code < 500 and answer.status_code != 429:
                break
            time.sleep(0.2 * 2**attempt)
        return self._fail(answer, f"{method} {path.partition('?')[0]} failed")

    def _request(self, method: str, path: str, **request: Any) -> httpx.Response | None:
        url = path if path.startswith(("http", "/")) else f"/v2/{self.place.repository}/{path}"
        own = dict(request.pop("headers", {}))
        if "params" in request:
            url = str(httpx.URL(url).copy_merge_params(request.pop("params")))
        try:
            answer = self._http.request(method, url, headers=self._headers(own), **request)
            if answer.status_code == httpx.codes.UNAUTHORIZED and self._authorize(answer):
                answer = self._http.request(method, url, headers=self._headers(own), **request)
        except httpx.TransportError:
            return None
        return answer

    def _headers(self, own: dict[str, str]) -> dict[str, str]:
        return own if self._authorization is None else {**own, "Authorization": self._authorization}

    def _authorize(self, answer: httpx.Response) -> bool:
        scheme, _, rest = answer.headers.get("WWW-Authenticate", "").partition(" ")
        if scheme.lower() == "basic" and self._login is not None and self._authorization is None:
            pair = ":".join(self._login).encode()
            self._authorization = "Basic " + base64.b64encode(pair).decode()
            return True
        facts = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        if scheme.lower() != "bearer" or not facts.get("realm", "").startswith(("http://", "https://")):
            return False
        query = {
            "service": facts.get("service", ""),
            "scope": f"repository:{self.place.repository}:pull,push",
        }
        given = self._http.get(facts["realm"], params=query, auth=self._login or httpx.USE_CLIENT_DEFAULT)
        if given.status_code != httpx.codes.OK:
            return False
        token = given.json()
        self._authorization = f"Bearer {token.get('token') or token.get('access_token')}"
        return True

    def _location(self, answer: httpx.Response) -> str:
        return urljoin(str(answer.request.url), answer.headers["Location"])

    def _fail(self, answer: httpx.Response | None, what: str) -> httpx.Response:
        if answer is None:
            raise Unavailable(f"the registry at {self.place.host} does not answer: {what}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise NotFound(f"{self.place.name}: {what}", value="404")
        message = f"{self.place.name}: {what}: {_message(answer)}"
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            allowed = "the login in ROOKERY_REGISTRY_USERNAME and ROOKERY_REGISTRY_PASSWORD"
            raise RegistryError(message, value=answer.status_code, allowed=allowed)
        if answer.status_code >= 500 or answer.status_code in _PASSING:
            raise Unavailable(message, value=answer.status_code)
        raise RegistryError(message, value=answer.status_code)


def push(store: ImageStore, digest: str, reference: str, *, tag: str | None = None) -> int:
    """Push one image to `host:port/repository`; see `Registry.push`."""
    with Registry(reference) as registry:
        return registry.push(store, digest, tag=tag)


def serving_base(
    reference: str, settings: RegistrySettings | None = None, *, architecture: str = "amd64"
) -> ServingBase:
    """The serving image in a registry as a base, by tag or digest; nothing but its descriptions is loaded.

    Raises:
        NotFound: there is no such image, or none for this architecture.
    """
    place = parse_reference(reference)
    with Registry(reference, settings) as registry:
        content = registry.manifest_bytes(place.version or "latest")
        manifest = json.loads(content)
        if manifest.get("mediaType") in (INDEX, _DOCKER_INDEX):
            content = registry.manifest_bytes(_platform(manifest, architecture))
            manifest = json.loads(content)
        config = json.loads(registry.blob_bytes(manifest["config"]["digest"]))
    layers = tuple(_layers(manifest, config))
    inner = dict(config.get("config", {}))
    labels = {**(inner.pop("Labels", None) or {}), BASE_DIGEST: digest_bytes(content)}
    return ServingBase(
        files={},
        config=inner,
        labels=labels,
        layers=layers,
        name=f"{place.name}@{digest_bytes(content)}",
        scheme=place.scheme,
        architecture=config.get("architecture", architecture),
        history=tuple(config.get("history", ())),
    )


def _is_whole(store: ImageStore, digest: str) -> bool:
    """Whether a store has a blob unaltered; a damaged copy is loaded again."""
    try:
        store.blobs.check(digest)
    except (NotFound, IntegrityError):
        return False
    return True


def _platform(index: dict[str, Any], architecture: str) -> str:
    for entry in index.get("manifests", []):
        platform = entry.get("platform", {})
        if platform.get("os") == "linux" and platform.get("architecture") == architecture:
            return str(entry["digest"])
    raise NotFound("the image is not there for this architecture", value=architecture)


def _layers(manifest: dict[str, Any], config: dict[str, Any]) -> Iterator[Layer]:
    for blob, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        kind = TAR_GZIP if blob["mediaType"] == DOCKER_GZIP else blob["mediaType"]
        yield Layer(kind, blob["digest"], int(blob["size"]), diff_id)


def _message(answer: httpx.Response) -> str:
    try:
        errors = answer.json()["errors"]
        return "; ".join(f"{error.get('code')}: {error.get('message')}" for error in errors)[:400]
    except (ValueError, KeyError, TypeError, httpx.ResponseNotRead):
        return answer.reason_phrase
