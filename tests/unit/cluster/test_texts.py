from __future__ import annotations

from workflows.cluster.texts import with_texts


def test_numbers_and_booleans_of_parameters_are_text_at_any_depth_and_nothing_else_changes() -> None:
    body = {
        "spec": {
            "activeDeadlineSeconds": 7,
            "arguments": {"parameters": [{"name": "a", "value": 7}, {"name": "b", "value": True}]},
            "templates": [
                {
                    "inputs": {"parameters": [{"name": "c", "default": 0.5, "valueFrom": {"path": "/x"}}]},
                    "steps": [[{"name": "s", "arguments": {"parameters": [{"name": "d", "value": "x"}]}}]],
                }
            ],
        }
    }
    made = with_texts(body)
    assert made["spec"]["arguments"]["parameters"] == [
        {"name": "a", "value": "7"},
        {"name": "b", "value": "true"},
    ]
    template = made["spec"]["templates"][0]
    assert template["inputs"]["parameters"] == [{"name": "c", "default": "0.5", "valueFrom": {"path": "/x"}}]
    assert template["steps"] == body["spec"]["templates"][0]["steps"]  # type: ignore[index]
    assert made["spec"]["activeDeadlineSeconds"] == 7
