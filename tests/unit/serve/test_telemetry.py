from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from services.serve.telemetry import Histogram, Telemetry


def test_buckets_are_cumulative_and_bounds_inclusive() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.observe(value)
    assert histogram.buckets() == [("1.0", 2.0), ("2.0", 3.0), ("+Inf", 4.0)]
    assert histogram.sum == 12.0


def test_the_text_is_what_prometheus_reads() -> None:
    telemetry = Telemetry({"application": 'a"b\nc', "bundle_digest": "sha256:0"})
    telemetry.queued = lambda: 3
    telemetry.predicted('owl "x"', 0.9, True, 0.004)
    telemetry.predicted("owl", 0.2, False, 0.2)
    telemetry.refused(413, "too-large")
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(telemetry.text().decode())
        for sample in family.samples
    }
    assert found[("rookery_serve_requests_total", ("code", ""), ("status", "200"))] == 2
    assert found[("rookery_serve_requests_total", ("code", "too-large"), ("status", "413"))] == 1
    assert found[("rookery_serve_novel_total",)] == 1
    assert found[("rookery_serve_queue",)] == 3
    assert found[("rookery_serve_label_total", ("label", 'owl "x"'))] == 1
    assert found[("rookery_serve_seconds_bucket", ("le", "0.005"))] == 1
    assert found[("rookery_serve_confidence_count",)] == 2
