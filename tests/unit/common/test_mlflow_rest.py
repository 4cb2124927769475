from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from services.common.errors import InvalidInput, NotFound, Unavailable
from services.common.mlflow_rest import MlflowClient, MlflowError

RUN = {"info": {"run_id": "r", "artifact_uri": "mlflow-artifacts:/1/r/artifacts"}}
Answer = Callable[[httpx.Request], httpx.Response]


def _client(answer: Answer, patience: float = 0) -> MlflowClient:
    client = MlflowClient("http://mlflow", patience_seconds=patience)
    client._http = httpx.Client(base_url="http://mlflow", transport=httpx.MockTransport(answer))
    return client


@pytest.mark.parametrize("version", ["two", "", "-1", "1.0", "1&name=other", "9" * 30, "٣"])
def test_what_is_no_version_is_said_before_mlflow_is_asked(version: str) -> None:
    def nobody(_: httpx.Request) -> httpx.Response:
        raise AssertionError("MLflow is asked")

    with (
        _client(nobody) as client,
        pytest.raises(InvalidInput, match=r"no version of digits.*a whole number"),
    ):
        client.version("digits", version)


@pytest.mark.parametrize("body", [b"<html>sign in</html>", b"[1]", b"", b"null"])
def test_what_a_proxy_says_in_place_of_mlflow_counts_as_no_answer(body: bytes) -> None:
    with (
        _client(lambda _: httpx.Response(200, content=body)) as client,
        pytest.raises(Unavailable, match="no JSON object"),
    ):
        client.run("r")


def test_an_artifact_over_the_bound_is_not_read_to_its_end() -> None:
    read = []

    def endless() -> Iterator[bytes]:
        for number in range(1000):
            read.append(number)
            yield bytes(1000)

    with _client(lambda _: httpx.Response(200, content=endless())) as client:
        with pytest.raises(MlflowError, match="too large"):
            client.download(RUN, "bundle/model.onnx", max_bytes=5000)
        assert len(read) < 10


def test_an_artifact_within_the_bound_is_given_whole_and_a_missing_one_is_not_found() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/bundle/model.onnx"):
            return httpx.Response(200, content=b"x" * 5000)
        return httpx.Response(404, json={"message": "no such artifact"})

    with _client(answer) as client:
        assert client.download(RUN, "bundle/model.onnx", max_bytes=5000) == b"x" * 5000
        with pytest.raises(NotFound):
            client.download(RUN, "bundle/other", max_bytes=5000)


def test_a_download_is_tried_again_after_an_error_of_the_server() -> None:
    tried = []

    def answer(request: httpx.Request) -> httpx.Response:
        tried.append(request)
        return httpx.Response(503 if len(tried) == 1 else 200, content=b"whole")

    with _client(answer, patience=5) as client:
        assert client.download(RUN, "bundle/model.onnx", max_bytes=10) == b"whole"
    assert len(tried) == 2


@pytest.mark.parametrize(("listed", "error"), [("other.json", NotFound), ("gate.json", Unavailable)])
def test_an_object_store_behind_mlflow_is_asked_what_it_has_before_a_500_is_believed(
    listed: str, error: type[Exception]
) -> None:
    """MLflow in front of S3 answers 500 for a key that does not exist, and also when the store is away."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/artifacts/list"):
            assert dict(request.url.params) == {"run_id": "r", "path": "evaluation"}
            return httpx.Response(200, json={"files": [{"path": f"evaluation/{listed}", "is_dir": False}]})
        return httpx.Response(500, text="NoSuchKey: the specified key does not exist")

    with _client(answer) as client, pytest.raises(error):
        client.download(RUN, "evaluation/gate.json", max_bytes=10)


def test_a_store_that_lists_nothing_since_it_is_away_is_away() -> None:
    with _client(lambda _: httpx.Response(500)) as client, pytest.raises(Unavailable):
        client.download(RUN, "evaluation/gate.json", max_bytes=10)
