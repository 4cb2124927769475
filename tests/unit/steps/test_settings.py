"""Addresses as users give them to train-ip, eval-ip and mlflow-ip."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidInput
from workflows.steps.settings import service_url


@pytest.mark.parametrize(
    ("given_text", "wanted"),
    [
        ("", "http://train:9090"),
        ("  ", "http://train:9090"),
        ("192.168.1.11", "http://192.168.1.11:9090"),
        ("gpu-host", "http://gpu-host:9090"),
        ("gpu-host:7000", "http://gpu-host:7000"),
        ("https://gpu.example/train/", "https://gpu.example/train"),
    ],
)
def test_every_form_of_an_address_is_understood(given_text: str, wanted: str) -> None:
    assert service_url(given_text, "http://train:9090/", 9090) == wanted


@pytest.mark.parametrize(
    "bad",
    [
        "a b",
        "$(id)",
        "host:port",
        "host:0",
        "host:70000",
        "../x",
        "file:///etc/passwd",
        "http://",
        "http://host:port",
        "https:/a",
    ],
)
def test_what_is_no_address_is_refused_with_what_is_allowed(bad: str) -> None:
    with pytest.raises(InvalidInput, match="allowed: "):
        service_url(bad, "http://train:9090", 9090)


@given(st.text(max_size=40))
def test_an_address_is_http_or_refused(text: str) -> None:
    try:
        url = service_url(text, "http://default", 1)
    except InvalidInput:
        return
    assert url.startswith(("http://", "https://"))
