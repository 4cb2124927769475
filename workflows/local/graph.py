"""Steps templates, and what they share with DAGs: loops, conditions, and the outputs that nodes pass on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from services.common.errors import InvalidInput, RookeryError
from workflows.local.expressions import evaluate_when, parse
from workflows.local.models import Sequence, Step, Task, Template
from workflows.local.nodes import ERROR, FAILED, RUNNING, SKIPPED, SUCCEEDED, Node, item_name, plain
from workflows.local.substitution import Unresolved, lookup, substitute, substitute_all, tag_value
from workflows.local.templates import Found

if TYPE_CHECKING:
    from workflows.local.scheduler import Call, Scheduler

MAX_ITEMS = 10_000
EMPTY = "Skipped, empty params"
_FORMAT = re.compile(r"[^%]*%0?\d{0,2}[dxX][^%]*")


@dataclass(frozen=True)
class Expanded:
    """A step, or one turn of a loop. `scope` adds the item to the names."""

    suffix: str
    scope: dict[str, str]


def timestamp(moment: float) -> str:
    """A time as Argo writes it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def run_steps(scheduler: Scheduler, call: Call, node: Node, found: Found, scope: dict[str, str]) -> Node:
    """Brings a steps template forward, group by group."""
    state = scheduler.state
    names = dict(scope)
    last = node
    for index, group in enumerate(found.template.steps or []):
        name = f"{call.name}[{index}]"
        current = state.nodes.get(name)
        if current is None:
            current = state.create(name, f"[{index}]", "StepGroup", RUNNING, boundary=node.id)
            state.adopt(last, current)
        if not current.fulfilled:
            run_group(scheduler, call, current, group, found, names, node)
        if not current.fulfilled:
            return node
        if current.failed:
            return state.mark(node, FAILED, current.message)
        for step in group:
            names |= node_scope(scheduler, f"{name}.{step.name}", f"steps.{step.name}", node.id)
        last = current
    return pass_on(scheduler, node, found.template, names)


def run_group(
    scheduler: Scheduler,
    call: Call,
    current: Node,
    group: list[Step],
    found: Found,
    names: dict[str, str],
    above: Node,
) -> None:
    """Starts what can start of one group of parallel steps, and assesses the group when all have ended."""
    state = scheduler.state
    unfinished = False
    failed: Node | None = None
    for step in group:
        base = f"{current.name}.{step.name}"
        try:
            turns = expand(scheduler, base, step, names)
        except RookeryError as error:
            state.mark(current, ERROR, str(error))
            return
        if not turns:
            node = state.nodes.get(base) or state.create(
                base, step.name, "Skipped", SKIPPED, boundary=above.id, message=EMPTY
            )
            state.adopt(current, node)
        for turn in turns:
            child = start(scheduler, call, base, step, turn, found, names, above)
            if child is None:
                unfinished = True
                continue
            state.adopt(current, child)
            unfinished = unfinished or not child.fulfilled
            if child.failed and not continues(step, child):
                failed = failed or child
    if unfinished and failed is not None and found.template.fail_fast and not state.active(above.id):
        state.mark(current, FAILED, "template has failed or errored children and failFast enabled")
    elif not unfinished and failed is not None and failed.type == "Skipped" and failed.phase == ERROR:
        state.mark(
            current, ERROR, f"step group deemed errored due to child {failed.name} error: {failed.message}"
        )
    elif not unfinished:
        state.mark(current, FAILED if failed else SUCCEEDED, f"child '{failed.id}' failed" if failed else "")


def continues(step: Step, node: Node) -> bool:
    """Whether the workflow goes on although this node ended badly."""
    return step.continue_on.failed if node.phase == FAILED else step.continue_on.error


def start(
    scheduler: Scheduler,
    call: Call,
    base: str,
    step: Step,
    turn: Expanded,
    found: Found,
    names: Mapping[str, str],
    above: Node,
) -> Node | None:
    """Starts or goes on with one step; None where the limits leave no room yet."""
    state, name = scheduler.state, base + turn.suffix
    node = state.nodes.get(name)
    if node is not None and node.fulfilled:
        return node
    scope = {**names, **turn.scope}
    made = type(call)(
        name, step.name + turn.suffix, step, {}, found.scope, above.id,
        "tasks" if isinstance(step, Task) else "steps", call.is_exit,
    )  # fmt: skip
    try:
        if (
            node is None
            and step.when is not None
            and not evaluate_when(step.when, lambda tag: tag_value(tag, scope))
        ):
            shown = substitute(step.when, scope)
            return state.create(
                name,
                made.display,
                "Skipped",
                SKIPPED,
                boundary=above.id,
                message=f"when '{shown}' evaluated false",
            )
        values = {
            p.name: substitute(p.value, scope) for p in step.arguments.parameters if p.value is not None
        }
    except RookeryError as error:
        return scheduler.error(made, str(error))
    return scheduler.execute(
        type(call)(name, made.display, step, values, found.scope, above.id, made.prefix, call.is_exit)
    )


def expand(scheduler: Scheduler, base: str, step: Step, names: Mapping[str, str]) -> list[Expanded]:
    """One turn for each item of a loop, or just one. Remembered: it stays the same for the whole run."""
    if not step.loops:
        return [Expanded("", {})]
    if base not in scheduler.expansions:
        if step.with_items is not None:
            items = substitute_all(step.with_items, names)
        elif step.with_param is not None:
            items = _items(step.name, substitute(step.with_param, names))
        else:
            assert step.with_sequence is not None
            items = sequence(Sequence(**substitute_all(step.with_sequence.model_dump(by_alias=True), names)))
        if len(items) > MAX_ITEMS:
            raise InvalidInput(
                f"step {step.name} loops over too many items", value=len(items), allowed=str(MAX_ITEMS)
            )
        scheduler.expansions[base] = [
            Expanded(item_name(i, item), item_scope(item)) for i, item in enumerate(items)
        ]
    return scheduler.expansions[base]


def _items(name: str, text: str) -> list[Any]:
    try:
        items = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"withParam of step {name} is no JSON", value=text) from error
    if not isinstance(items, list):
        raise InvalidInput(f"withParam of step {name} is no JSON list", value=text)
    return items


def item_scope(item: Any) -> dict[str, str]:
    """`item`, and for a map `item.key`."""
    scope = {"item": plain(item)}
    if isinstance(item, dict):
        scope |= {f"item.{key}": plain(value) for key, value in item.items()}
    return scope


def sequence(spec: Sequence) -> list[str]:
    """The texts of `withSequence`."""
    start_text = spec.start or "0"
    try:
        first = int(start_text)
        if (spec.count is None) == (spec.end is None):
            raise InvalidInput("withSequence needs either count or end")
        if spec.count is not None:
            numbers = range(first, first + int(spec.count))
        else:
            last = int(spec.end or "0")
            numbers = range(first, last + 1) if first <= last else range(first, last - 1, -1)
    except ValueError as error:
        raise InvalidInput("withSequence: no number", value=str(error)) from error
    if len(numbers) > MAX_ITEMS:
        raise InvalidInput("withSequence is too long", value=len(numbers), allowed=str(MAX_ITEMS))
    shape = spec.format or "%d"
    if not _FORMAT.fullmatch(shape):
        raise InvalidInput(
            "withSequence.format: not supported", value=shape, allowed="one of %d, %x, %03d and the like"
        )
    return [shape % number for number in numbers]


def node_scope(scheduler: Scheduler, name: str, prefix: str, boundary: str) -> dict[str, str]:
    """What later steps can know of a node; of a loop the lists of what its turns gave."""
    node = scheduler.state.nodes.get(name)
    if node is None or node.type == "TaskGroup":
        turns = [
            n for n in scheduler.state.nodes.values()
            if n.boundary == boundary and n.name.startswith(f"{name}(") and not n.retried and n.type != "Skipped"
        ]  # fmt: skip
        own = {f"{prefix}.status": node.phase, f"{prefix}.id": node.id} if node is not None else {}
        return own | _lists(prefix, sorted(turns, key=_turn_number))
    if node.type == "Retry" and node.children:
        last = scheduler.state.by_id[node.children[-1]]
        status = node.phase
        node = last
    else:
        status = node.phase
    scope = {
        f"{prefix}.id": node.id,
        f"{prefix}.status": status,
        f"{prefix}.startedAt": timestamp(node.started),
    }
    if node.finished is not None:
        scope[f"{prefix}.finishedAt"] = timestamp(node.finished)
    if node.exit_code is not None:
        scope[f"{prefix}.exitCode"] = node.exit_code
    if node.result is not None:
        scope[f"{prefix}.outputs.result"] = node.result
    return scope | {f"{prefix}.outputs.parameters.{key}": value for key, value in node.parameters.items()}


def _turn_number(node: Node) -> int:
    return int(node.name.rpartition("(")[2].partition(":")[0])


def _lists(prefix: str, turns: list[Node]) -> dict[str, str]:
    good = [node for node in turns if node.phase == SUCCEEDED]
    if not turns:
        return {}
    columns: dict[str, list[Any]] = {}
    for node in good:
        for key, value in node.parameters.items():
            columns.setdefault(key, []).append(value)

    def dump(value: object) -> str:
        return json.dumps(value, separators=(",", ":"))

    results = [_json(node.result) for node in good if node.result is not None]
    return {
        f"{prefix}.outputs.result": dump(results),
        f"{prefix}.outputs.parameters": dump([node.parameters for node in good if node.parameters]),
        **{f"{prefix}.outputs.parameters.{key}": dump(_all_json(values)) for key, values in columns.items()},
    }


def _json(text: str) -> Any:
    """Argo's rule: what the turns of a loop print can be used together only where each prints JSON."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidInput(
            "a turn of a loop printed no JSON, so its results cannot be used", value=text[:200]
        ) from error


def _all_json(values: list[str]) -> list[Any]:
    """Argo's rule: the values as JSON where every one of them is an object or a list, else all as texts."""
    try:
        found = [json.loads(value) for value in values]
    except ValueError:
        return values
    return found if all(isinstance(one, (dict, list)) for one in found) else values


def pass_on(scheduler: Scheduler, node: Node, template: Template, names: Mapping[str, str]) -> Node:
    """Ends a steps or DAG node with the outputs that its template takes from its steps."""
    outputs = {}
    for output in template.outputs.parameters:
        source = output.value_from
        assert source is not None
        try:
            if source.parameter is not None:
                outputs[output.name] = substitute(source.parameter, names)
            else:
                value = parse(source.expression or "", "expression").evaluate(lookup(names))
                if value is None:
                    raise Unresolved(
                        f"the expression of output {output.name} is nil", value=source.expression
                    )
                outputs[output.name] = plain(value)
        except RookeryError as error:
            if source.default is None:
                return scheduler.state.mark(node, ERROR, str(error))
            outputs[output.name] = source.default
    scheduler.finish_pod(node, template, outputs)
    return scheduler.state.mark(node, SUCCEEDED)
