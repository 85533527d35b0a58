"""Metrics of many processes on one page that Prometheus' own parser reads."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from stentor.supervisor.merge import merge_metrics


def page(value: float) -> bytes:
    registry = CollectorRegistry()
    Counter("stentor_things_total", 'Things, "quoted"\nand more', ["room"], registry=registry).labels('a{b="c"},d').inc(
        value
    )
    Gauge("stentor_plain", "Plain", registry=registry).set(value)
    Histogram("stentor_wait_seconds", "Wait", registry=registry, buckets=(1, 2)).observe(value)
    return generate_latest(registry)


def test_every_sample_says_whose_it_is():
    merged = merge_metrics({"edge-1": page(1), "edge-2": page(1.5)}).decode()
    families = {family.name: family for family in text_string_to_metric_families(merged)}
    plain = {sample.labels["process"]: sample.value for sample in families["stentor_plain"].samples}
    assert plain == {"edge-1": 1, "edge-2": 1.5}
    things = [sample for sample in families["stentor_things"].samples if sample.name.endswith("_total")]
    assert {(s.labels["process"], s.labels["room"], s.value) for s in things} == {
        ("edge-1", 'a{b="c"},d', 1),
        ("edge-2", 'a{b="c"},d', 1.5),
    }
    buckets = [s for s in families["stentor_wait_seconds"].samples if s.name.endswith("_bucket")]
    assert len(buckets) == 6
    assert all("process" in s.labels and "le" in s.labels for s in buckets)


def test_a_family_stands_together_with_one_head():
    merged = merge_metrics({"edge-1": page(1), "edge-2": page(2), "gone": b""}).decode()
    assert merged.count("# TYPE stentor_plain gauge") == 1
    assert merged.count("# HELP stentor_plain Plain") == 1
    lines = merged.splitlines()
    places = [index for index, line in enumerate(lines) if line.startswith("stentor_plain")]
    assert places == [places[0], places[0] + 1]


def test_a_label_of_that_name_is_kept():
    merged = merge_metrics({"origin": b'# TYPE x gauge\nx{room="r",process="room-1"} 1\nx{process="room-2"} 2\n'})
    assert merged == b'# TYPE x gauge\nx{room="r",process="room-1"} 1\nx{process="room-2"} 2\n'


def test_nothing_is_nothing():
    assert merge_metrics({}) == b""
