from __future__ import annotations

from xml.etree import ElementTree

from services.train.curves import curves_svg


def test_the_picture_is_xml_with_a_line_for_each_metric_and_escaped_text() -> None:
    history = [{"epoch": e, "train_loss": 1 / e, "validation_loss": 2.0, "accuracy": 0.5} for e in (1, 2, 3)]
    root = ElementTree.fromstring(curves_svg(history, "<script>"))
    lines = [node for node in root if node.tag.endswith("polyline")]
    assert len(lines) == 3
    assert all(len(line.attrib["points"].split()) == 3 for line in lines)
    assert ElementTree.fromstring(curves_svg(history[:1], "one")) is not None
