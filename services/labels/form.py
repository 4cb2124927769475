"""What Label Studio shows and takes: the labelling configuration of a project, tasks, results."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import quoteattr

from services.common.errors import InvalidInput
from services.labels.task import CANNOT_TELL, SOMETHING_ELSE, Answer, Project, Task

_SHOWN_AT_ONCE = 24
_LABEL, _OTHER, _INPUT = "label", "other", "input"


def configuration(project: Project) -> str:
    """The labelling configuration: picture, or player with spectrogram; one class or several; a way to say neither."""
    several = project.target == "multi-label"
    names = [*project.classes, SOMETHING_ELSE, CANNOT_TELL]
    layout = ' layout="select"' if len(names) > _SHOWN_AT_ONCE else ' showInline="true"'
    choices = "".join(f"<Choice value={_attribute(name)}/>" for name in names)
    if project.kind == "audio":
        shown = (
            '<Audio name="input" value="$input" height="96"/>'
            '<Image name="spectrogram" value="$spectrogram" zoom="true"/>'
        )
    else:
        shown = '<Image name="input" value="$input" zoom="true" zoomControl="true" width="420px"/>'
    question = "What is there? Choose all that apply." if several else "What is it?"
    return (
        f"<View><Header value={_attribute(question)}/>{shown}"
        f'<Choices name="{_LABEL}" toName="{_INPUT}" choice="{"multiple" if several else "single"}" '
        f'required="true"{layout}>{choices}</Choices>'
        f'<View visibleWhen="choice-selected" whenTagName="{_LABEL}" whenChoiceValue={_attribute(SOMETHING_ELSE)}>'
        f'<TextArea name="{_OTHER}" toName="{_INPUT}" maxSubmissions="1" rows="1" '
        'placeholder="Its name, if you know it"/></View></View>'
    )


def task_fields(task: Task, links: dict[str, str], *, blind: bool) -> dict[str, Any]:
    """A task as Label Studio imports it, with the model's answer as a pre-annotation.

    Args:
        blind: without the model's answer, so that it sways nobody.
    """
    record = task.record
    served = datetime.fromtimestamp(record.time / 1000, UTC).isoformat(timespec="seconds")
    data = {"digest": task.digest, "application": task.application, "served": served, **links}
    if record.source:
        data["source"] = record.source
    fields: dict[str, Any] = {"data": data}
    if not blind:
        chosen = [{"from_name": _LABEL, "to_name": _INPUT, "type": "choices"}]
        chosen[0] |= {"value": {"choices": [record.labels[0]]}}  # type: ignore[dict-item]
        fields["predictions"] = [
            {"model_version": f"version {record.version}", "score": record.confidence, "result": chosen}
        ]
    return fields


def read_result(result: Any, classes: Collection[str], *, cancelled: bool) -> Answer:
    """The answer in an annotation's result; a task that was skipped cannot be told.

    Raises:
        InvalidInput: it is no answer, or names a class as none can be named.
    """
    if cancelled:
        return Answer(sure=False)
    names: list[str] = []
    other = ""
    try:
        for part in result:
            if part["from_name"] == _LABEL:
                names += [str(name) for name in part["value"]["choices"]]
            elif part["from_name"] == _OTHER:
                other = " ".join(str(line) for line in part["value"]["text"]).strip()
    except (TypeError, KeyError, AttributeError) as error:
        raise InvalidInput(f"this is no result of our form: {error!r}") from error
    if CANNOT_TELL in names:
        return Answer(sure=False)
    return Answer(tuple(sorted(set(names))), True, other).checked(classes)


def _attribute(text: str) -> str:
    return quoteattr(text)
