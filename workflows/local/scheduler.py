"""One pass over a run: what can go on goes on, what has ended is assessed, as Argo's controller does it.

A pass reads only the nodes and the workflow, so it is the same after the engine was killed: nodes that are fulfilled
stay as they are, and everything else is taken up where it was. Processes are only asked for here; the engine starts
them after the nodes are in the journal.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from services.common.errors import InvalidInput, RookeryError
from workflows.local import dag, graph
from workflows.local.models import Parameter, Step, Template, seconds
from workflows.local.mutexes import Mutexes
from workflows.local.nodes import ERROR, FAILED, PENDING, RUNNING, STOPPED, SUCCEEDED, Node
from workflows.local.retries import after_attempt, last_retry
from workflows.local.state import State
from workflows.local.substitution import substitute
from workflows.local.templates import Found, Library
from workflows.local.workflow import Workflow, check_value, effective_spec, entry_calls

_MAX_DEPTH = 80
_MUTEX_SECONDS = 0.1


@dataclass(frozen=True)
class Call:
    """A step, task, entrypoint or exit handler about to be run, its arguments already values."""

    name: str
    display: str
    step: Step
    arguments: dict[str, str]
    scope: str
    boundary: str | None
    prefix: str = "steps"
    is_exit: bool = False


class Scheduler:
    """The passes of one run. `wake_at` is the time of the next pass that nothing else would cause."""

    def __init__(self, workflow: Workflow, library: Library, state: State, mutexes: Mutexes) -> None:
        self.workflow = workflow
        self.library = library
        self.state = state
        self.mutexes = mutexes
        self.spec = effective_spec(library)
        self.globals = self._globals()
        self.expansions: dict[str, list[graph.Expanded]] = {}
        self.wanted: dict[str, tuple[Node, Template, dict[str, str]]] = {}
        self.wake_at: float | None = None
        self.depth = 0
        limit = self.spec.active_deadline_seconds
        self.deadline = None if limit is None else workflow.created + seconds(substitute(limit, self.globals))

    def _globals(self) -> dict[str, str]:
        flow = self.workflow
        created = datetime.fromtimestamp(flow.created, UTC)
        pairs = [{"name": name, "value": value} for name, value in flow.parameters.items()]
        as_json = json.dumps(pairs, separators=(",", ":"))
        values = {
            "workflow.name": flow.name, "workflow.uid": flow.uid, "workflow.namespace": flow.namespace,
            "workflow.mainEntrypoint": self.spec.entrypoint or "", "workflow.serviceAccountName": "",
            "workflow.creationTimestamp": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "workflow.creationTimestamp.RFC3339": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "workflow.creationTimestamp.s": str(int(flow.created)),
            "workflow.parameters": as_json, "workflow.parameters.json": as_json,
        }  # fmt: skip
        values |= {f"workflow.creationTimestamp.{c}": created.strftime(f"%{c}") for c in "YmdHMSjyBbAaIpFT"}
        values |= {f"workflow.parameters.{name}": value for name, value in flow.parameters.items()}
        values |= {f"workflow.labels.{name}": value for name, value in flow.labels.items()}
        return values | {f"workflow.annotations.{name}": value for name, value in flow.annotations.items()}

    def over(self) -> bool:
        """Whether the run was stopped or is past its deadline: nothing more is started but the exit handler."""
        return self.state.outcome.stopping or (self.deadline is not None and time.time() >= self.deadline)

    def wake(self, moment: float) -> None:
        """Asks for a pass at a time, in seconds since the epoch."""
        self.wake_at = moment if self.wake_at is None else min(self.wake_at, moment)

    def operate(self) -> None:
        """One pass."""
        self.wanted.clear()
        self.wake_at = None
        if self.deadline is not None and not self.over():
            self.wake(self.deadline)
        if not self._workflow_locks():
            return
        entry, *exits = [step for step, _ in entry_calls(self.spec)]
        name = self.workflow.name
        self.state.set_outcome(phase=RUNNING, message="", started=self.state.outcome.started or time.time())
        self._refresh_globals()
        given = self.workflow.parameters
        root = self.execute(Call(name, name, entry, given, "", None))
        if root is None or not root.fulfilled:
            return
        ended: Node | None = None
        if exits:
            self._exit_globals(root)
            ended = self.execute(
                Call(f"{name}.onExit", f"{name}.onExit", exits[0], given, "", None, is_exit=True)
            )
            if ended is None or not ended.fulfilled:
                return
        self._finish(root, ended)

    def _workflow_locks(self) -> bool:
        names = [substitute(mutex.name, self.globals) for mutex in self.spec.synchronization.mutexes]
        if self.mutexes.acquire("", names) or self.over():
            return True
        self.state.set_outcome(phase=PENDING, message=f"waiting for mutex {', '.join(names)}")
        self.wake(time.time() + _MUTEX_SECONDS)
        return False

    def _refresh_globals(self) -> None:
        outcome = self.state.outcome
        self.globals["workflow.status"] = RUNNING
        self.globals["workflow.failures"] = "[]"
        self.globals["workflow.duration"] = f"{time.time() - outcome.started:.6f}"
        self.globals |= {f"workflow.outputs.parameters.{n}": v for n, v in outcome.outputs.items()}

    def _exit_globals(self, root: Node) -> None:
        failures = [
            {
                "displayName": n.display_name, "message": n.message, "templateName": n.template, "phase": n.phase,
                "podName": n.id, "finishedAt": graph.timestamp(n.finished or 0.0),
            }
            for n in self.state.nodes.values() if n.failed and n.name != f"{self.workflow.name}.onExit"
        ]  # fmt: skip
        self.globals["workflow.status"] = root.phase if root.failed else SUCCEEDED
        # A JSON text within a JSON text, as Argo gives it.
        self.globals["workflow.failures"] = json.dumps(json.dumps(failures, separators=(",", ":")))

    def _finish(self, root: Node, ended: Node | None) -> None:
        worst, message = root, root.message
        if not root.failed and ended is not None and ended.failed:
            worst, message = ended, ended.message
        elif root.failed and self.state.outcome.stopping:
            message = STOPPED
        phase = worst.phase if worst.failed else SUCCEEDED
        self.state.set_outcome(phase=phase, message=message, finished=time.time())

    def execute(self, call: Call) -> Node | None:
        """Brings the node of a call forward. None: it may not begin yet."""
        node = self.state.nodes.get(call.name)
        if node is not None and node.fulfilled:
            return node
        if node is None and self.over() and not call.is_exit:
            return self._never(call)
        self.depth += 1
        try:
            if self.depth > _MAX_DEPTH:
                raise InvalidInput("Maximum recursion depth exceeded", value=self.depth)
            return self._execute(call, node)
        except RookeryError as error:
            return self.error(call, str(error))
        finally:
            self.depth -= 1

    def _never(self, call: Call) -> Node:
        return self.state.create(
            call.name, call.display, "Skipped", FAILED, boundary=call.boundary, message=self.why_over()
        )

    def why_over(self) -> str:
        """The message of a step that the end of the whole run ended."""
        return STOPPED if self.state.outcome.stopping else "Step exceeded its deadline"

    def error(self, call: Call, message: str) -> Node:
        """The node of a call that cannot be run at all."""
        node = self.state.nodes.get(call.name)
        if node is None:
            node = self.state.create(call.name, call.display, "Skipped", ERROR, boundary=call.boundary)
        return self.state.mark(node, ERROR, message)

    def _execute(self, call: Call, node: Node | None) -> Node | None:
        found = self.library.find(call.step, call.scope)
        inputs = node.inputs if node is not None else self.bind(found.template, call.arguments)
        if node is None and not self._room(call, found.template):
            return None
        scope = self.scope_of(call, found.template, inputs)
        locks = [substitute(mutex.name, scope) for mutex in found.template.synchronization.mutexes]
        if not self.mutexes.acquire(call.name, locks):
            self.wake(time.time() + _MUTEX_SECONDS)
            return node
        if found.template.retry_strategy is not None:
            node = self._with_retries(call, found, inputs, scope)
        else:
            node = self._run(call, found, inputs, scope, retried=False)
        if node.fulfilled:
            self.mutexes.release(call.name)
        return node

    def bind(self, template: Template, arguments: Mapping[str, str]) -> dict[str, str]:
        """The values of a template's inputs."""
        values = {}
        for parameter in template.inputs.parameters:
            own = parameter.value if parameter.value is not None else parameter.default
            value = arguments.get(parameter.name, None if own is None else substitute(own, self.globals))
            if value is None:
                raise InvalidInput(f"inputs.parameters.{parameter.name} was not supplied")
            values[parameter.name] = check_value(parameter, value)
        return values

    def scope_of(self, call: Call, template: Template, inputs: Mapping[str, str]) -> dict[str, str]:
        """Every name that a template's text may use."""
        described = [_described(p, inputs[p.name]) for p in template.inputs.parameters]
        return {
            **self.globals, "node.name": call.name, "pod.name": call.name, f"{call.prefix}.name": call.step.name,
            "inputs.parameters": json.dumps(described, separators=(",", ":")),
            **{f"inputs.parameters.{name}": value for name, value in inputs.items()},
        }  # fmt: skip

    def _room(self, call: Call, template: Template) -> bool:
        """Whether the limits on parallel work leave room for one more node."""
        state = self.state
        if template.pod is not None and self.spec.parallelism and state.active() >= self.spec.parallelism:
            return False
        above = state.by_id.get(call.boundary) if call.boundary else None
        if above is None:
            return True
        owner = self.template_of(above)
        if owner.fail_fast and any(n.failed and n.boundary == above.id for n in state.nodes.values()):
            return False
        return owner.parallelism is None or state.active(above.id) < owner.parallelism

    def template_of(self, node: Node) -> Template:
        """The template that a node was made from."""
        scope, _, name = node.template.rpartition("/")
        return self.library.find(Step.model_validate({"name": "x", "template": name}), scope).template

    def _with_retries(self, call: Call, found: Found, inputs: dict[str, str], scope: dict[str, str]) -> Node:
        state, strategy = self.state, found.template.retry_strategy
        assert strategy is not None
        parent = state.nodes.get(call.name)
        if parent is None:
            parent = state.create(
                call.name,
                call.display,
                "Retry",
                RUNNING,
                boundary=call.boundary,
                inputs=inputs,
                template=reference(found),
            )
        while True:
            attempts = [state.by_id[child] for child in parent.children]
            last = attempts[-1] if attempts else None
            if last is not None and last.fulfilled:
                if not last.failed:
                    parent.parameters, parent.result, parent.exit_code = (
                        last.parameters,
                        last.result,
                        last.exit_code,
                    )
                    return state.mark(parent, SUCCEEDED, "")
                stop = STOPPED if self.over() and not call.is_exit else None
                verdict = after_attempt(strategy, attempts, scope, stop=stop)
                if verdict.wait_until is not None:
                    self.wake(verdict.wait_until)
                    return state.mark(parent, RUNNING, verdict.message)
                if not verdict.again:
                    parent.parameters, parent.result, parent.exit_code = (
                        last.parameters,
                        last.result,
                        last.exit_code,
                    )
                    return state.mark(parent, last.phase, verdict.message)
                state.mark(parent, RUNNING, "")
            number = len(attempts) - 1 if last is not None and not last.fulfilled else len(attempts)
            attempt = Call(
                f"{call.name}({number})", f"{call.display}({number})", call.step, call.arguments, call.scope,
                call.boundary, call.prefix, call.is_exit,
            )  # fmt: skip
            before = attempts[number - 1] if number else None
            child = self._run(attempt, found, inputs, {**scope, **last_retry(number, before)}, retried=True)
            state.adopt(parent, child)
            if not child.fulfilled:
                return parent

    def _run(
        self, call: Call, found: Found, inputs: dict[str, str], scope: dict[str, str], *, retried: bool
    ) -> Node:
        state, template = self.state, found.template
        node = state.nodes.get(call.name)
        if node is not None and node.fulfilled:
            return node
        kind = (
            "Steps"
            if template.steps is not None
            else "DAG"
            if template.dag
            else "Suspend"
            if template.suspend
            else "Pod"
        )
        if node is None:
            phase = PENDING if kind == "Pod" else RUNNING
            node = state.create(
                call.name, call.display, kind, phase, boundary=call.boundary, inputs=inputs,
                template=reference(found), retried=retried,
            )  # fmt: skip
        if kind == "Steps":
            return graph.run_steps(self, call, node, found, scope)
        if kind == "DAG":
            return dag.run_dag(self, call, node, found, scope)
        if kind == "Suspend":
            return self._suspend(call, node, template, scope)
        if node.phase == PENDING and self.over() and not call.is_exit:
            return state.mark(node, FAILED, self.why_over())
        self.wanted[node.id] = (node, template, scope)
        return node

    def _suspend(self, call: Call, node: Node, template: Template, scope: dict[str, str]) -> Node:
        assert template.suspend is not None
        if self.over() and not call.is_exit:
            return self.state.mark(node, FAILED, self.why_over())
        duration = template.suspend.duration
        if duration:
            end = node.started + seconds(substitute(duration, scope))
            if time.time() >= end:
                return self.state.mark(node, SUCCEEDED)
            self.wake(end)
        return node

    def finish_pod(self, node: Node, template: Template, outputs: dict[str, str]) -> None:
        """Takes over the outputs of a step that has ended, also those with a global name."""
        node.parameters = outputs
        self.state.touch(node)
        self.export(template, outputs)

    def export(self, template: Template, outputs: Mapping[str, str]) -> None:
        """Makes outputs with a `globalName` known to the whole workflow."""
        named = {
            p.global_name: outputs[p.name]
            for p in template.outputs.parameters
            if p.global_name and p.name in outputs
        }
        if named:
            self.state.set_outcome(outputs={**self.state.outcome.outputs, **named})
            self.globals |= {f"workflow.outputs.parameters.{name}": value for name, value in named.items()}


def reference(found: Found) -> str:
    """How a node names its template: `name`, or `workflow-template/name`."""
    return f"{found.scope}/{found.template.name}" if found.scope else found.template.name


def _described(parameter: Parameter, value: str) -> dict[str, object]:
    shown: dict[str, object] = {"name": parameter.name}
    if parameter.default is not None:
        shown["default"] = parameter.default
    shown["value"] = value
    if parameter.enum is not None:
        shown["enum"] = parameter.enum
    if parameter.description is not None:
        shown["description"] = parameter.description
    return shown
