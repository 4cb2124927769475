from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from services.serve.telemetry import MOST_LABELS, Histogram, Telemetry


def test_buckets_are_cumulative_and_bounds_inclusive() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.observe(value)
    assert histogram.buckets() == [("1.0", 2.0), ("2.0", 3.0), ("+Inf", 4.0)]
    assert histogram.sum == 12.0


def test_the_text_is_what_prometheus_reads() -> None:
    telemetry = Telemetry({"application": 'a"b\nc', "model_version": "7", "bundle_digest": "sha256:0"})
    telemetry.queued = lambda: 3
    telemetry.predicted('owl "x"', 0.9, True, 0.004)
    telemetry.predicted("owl", 0.2, False, 0.2, 12)
    telemetry.refused(413, "too-large")
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(telemetry.text().decode())
        for sample in family.samples
    }
    place = (("application", 'a"b\nc'), ("environment", ""))
    version = ("model_version", "7")

    def value(name: str, *labels: tuple[str, str]) -> float:
        return found[(f"rookery_serve_{name}", *sorted((*place, version, *labels)))]

    assert value("requests_total", ("code", ""), ("status", "200")) == 2
    assert value("requests_total", ("code", "too-large"), ("status", "413")) == 1
    assert value("novel_total") == 1
    assert value("queue") == 3
    assert value("label_total", ("label", 'owl "x"')) == 1
    assert value("seconds_bucket", ("le", "0.005")) == 1
    assert value("confidence_count") == 2
    assert value("windows_bucket", ("le", "1.0")) == 1 and value("windows_sum") == 13


def test_so_many_labels_have_figures_and_no_more() -> None:
    telemetry = Telemetry({})
    for _ in range(2):
        for number in range(MOST_LABELS + 50):
            telemetry.predicted(f"label {number}", 0.9, False, 0.001)
    assert len(telemetry.labels) == MOST_LABELS + 1
    assert telemetry.labels["label 0"] == 2 and telemetry.labels["(others)"] == 100
