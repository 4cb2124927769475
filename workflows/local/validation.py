"""Checks of a whole workflow before its run exists: every template, name, tag, image and expression it can reach."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from services.common.errors import InvalidInput, RookeryError
from workflows.local import expressions
from workflows.local.models import Container, Parameter, Step, Task, Template, nearest, seconds
from workflows.local.substitution import tags
from workflows.local.templates import Found, Library, steps_of
from workflows.local.workflow import effective_spec, entry_calls, image_allowed

_RESULTS = "Succeeded Failed Errored Skipped Omitted Daemoned AnySucceeded AllFailed".split()
_POLICIES = "Always OnFailure OnError OnTransientError".split()
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9-]{0,127}")
_PARAMETER = re.compile(r"[-a-zA-Z0-9_]{1,128}")
_GLOBAL = (
    "workflow.name workflow.namespace workflow.uid workflow.mainEntrypoint workflow.serviceAccountName workflow.status "
    "workflow.failures workflow.duration workflow.creationTimestamp workflow.creationTimestamp.s "
    "workflow.creationTimestamp.RFC3339 workflow.parameters workflow.parameters.json node.name pod.name steps.name "
    "tasks.name retries lastRetry.exitCode lastRetry.status lastRetry.duration lastRetry.message"
).split()
_NODE_FIELDS = "id status startedAt finishedAt exitCode outputs.result".split()
_OPEN = (
    "workflow.labels.",
    "workflow.annotations.",
    "workflow.creationTimestamp.",
    "workflow.outputs.parameters.",
)


def validate(library: Library, *, host_images: Sequence[str] = ()) -> None:
    """Raises InvalidInput for the first thing that cannot run here, with its path and name."""
    spec = effective_spec(library)
    for scope in ("", *sorted(library.used)):
        _unique((t.name for t in _all(library, scope)), f"templates{scope and ' of ' + scope}")
    _unique((p.name for p in spec.arguments.parameters), "spec.arguments.parameters")
    parameters = {p.name for p in spec.arguments.parameters}
    for call, scope in entry_calls(spec):
        for one in library.find(call, scope).template.inputs.parameters:
            if one.name not in parameters and one.value is None and one.default is None:
                raise InvalidInput(
                    f"spec.{'onExit' if call.name == 'onExit' else 'entrypoint'}: the input {one.name} has no value",
                    value=call.template,
                    allowed=f"a parameter {one.name} in spec.arguments, or a default of the input",
                )
    checked = 0
    for found in library.walk(entry_calls(spec)):
        _Check(library, found, parameters, host_images).run()
        checked += 1
    for template in library.manifest.spec.templates:
        if checked and not _reached(library, template):
            _Check(library, Found("", template), parameters, host_images).run()


def _all(library: Library, scope: str) -> list[Template]:
    return library.manifest.spec.templates if not scope else library.store.get(scope).spec.templates


def _reached(library: Library, template: Template) -> bool:
    calls = entry_calls(effective_spec(library))
    return any(found.template is template for found in library.walk(calls))


def _unique(names: Iterable[str], where: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidInput(f"{where}: two have the same name", value=name)
        seen.add(name)


class _Check:
    def __init__(self, library: Library, found: Found, parameters: set[str], images: Sequence[str]) -> None:
        self.library = library
        self.template = found.template
        self.scope = found.scope
        self.images = images
        self.path = (f"{found.scope}/" if found.scope else "spec.") + f"templates[{found.template.name}]"
        inputs = {f"inputs.parameters.{p.name}" for p in found.template.inputs.parameters}
        self.known = {
            *_GLOBAL,
            "inputs.parameters",
            *inputs,
            *(f"workflow.parameters.{name}" for name in parameters),
        }

    def fail(
        self, where: str, message: str, *, value: object = None, allowed: str | None = None
    ) -> InvalidInput:
        return InvalidInput(f"{self.path}{where}: {message}", value=value, allowed=allowed)

    def run(self) -> None:
        template = self.template
        for parameter in (*template.inputs.parameters, *template.outputs.parameters):
            if not _PARAMETER.fullmatch(parameter.name):
                raise self.fail("", "no valid name of a parameter", value=parameter.name)
        _unique((p.name for p in template.inputs.parameters), f"{self.path}.inputs.parameters")
        _unique((p.name for p in template.outputs.parameters), f"{self.path}.outputs.parameters")
        if template.retry_strategy is not None:
            self.retries(template)
        for field in ("active_deadline_seconds", "timeout"):
            self.duration(f".{field}", getattr(template, field))
        if template.suspend is not None:
            self.duration(".suspend.duration", template.suspend.duration)
        if template.pod is not None:
            self.pod(template.pod)
        else:
            self.calls()

    def duration(self, where: str, text: str | None) -> None:
        if text is not None and "{{" not in text:
            try:
                seconds(text)
            except InvalidInput as error:
                raise self.fail(where, str(error)) from error
        self.check_tags(where, text, self.known)

    def retries(self, template: Template) -> None:
        strategy = template.retry_strategy
        assert strategy is not None
        where = ".retryStrategy"
        if strategy.policy not in _POLICIES:
            raise self.fail(
                f"{where}.retryPolicy", "unknown", value=strategy.policy, allowed=", ".join(_POLICIES)
            )
        if strategy.limit is not None and "{{" not in strategy.limit and not strategy.limit.isdigit():
            raise self.fail(f"{where}.limit", "no number", value=strategy.limit)
        if strategy.backoff is not None:
            for name in ("duration", "max_duration", "cap"):
                self.duration(f"{where}.backoff.{name}", getattr(strategy.backoff, name))
        if strategy.expression is not None:
            self.expression(f"{where}.expression", strategy.expression, self.known)

    def expression(self, where: str, text: str, known: set[str]) -> None:
        try:
            parsed = expressions.parse(text, "expression")
        except RookeryError as error:
            raise self.fail(where, str(error)) from error
        for path in parsed.paths:
            self.check_tag(where, path, known)

    def check_tags(self, where: str, value: object, known: set[str]) -> None:
        for tag in tags(value):
            if tag.startswith("="):
                self.expression(where, tag[1:].strip(), known)
            else:
                self.check_tag(where, tag, known)

    def check_tag(self, where: str, tag: str, known: set[str]) -> None:
        if tag in known or tag.startswith(_OPEN):
            return
        loop = any(tag.startswith(f"{name}.") for name in known if name == "item")
        if loop:
            return
        raise self.fail(where, f"failed to resolve {{{{{tag}}}}}", allowed=nearest(tag, known))

    def pod(self, pod: Container) -> None:
        kind = ".script" if self.template.script else ".container"
        if "{{" not in pod.image and not image_allowed(pod.image, self.images):
            raise self.fail(
                f"{kind}.image", f"image {pod.image} does not run on this machine by itself",
                allowed=f"rookery/*, or --host-image '{pod.image}' to run its commands directly on this machine",
            )  # fmt: skip
        if not pod.command:
            raise self.fail(f"{kind}.command", "missing; the entry point of an image is not known here")
        volumes = {v.name: v for v in (*effective_spec(self.library).volumes, *self.template.volumes)}
        for mount in pod.volume_mounts:
            if mount.name not in volumes:
                raise self.fail(f"{kind}.volumeMounts", "there is no such volume", value=mount.name)
        mounts = [m.mount_path for m in pod.volume_mounts]
        if pod.working_dir is not None and not any(pod.working_dir.startswith(m) for m in mounts):
            raise self.fail(
                f"{kind}.workingDir", "only supported inside an emptyDir volume", value=pod.working_dir,
                allowed=", ".join(mounts) or None,
            )  # fmt: skip
        known = set(self.known)
        for output in self.template.outputs.parameters:
            if output.value_from is None or output.value_from.path is None:
                raise self.fail(f".outputs.parameters[{output.name}].valueFrom", "a path is missing")
            known.add(f"outputs.parameters.{output.name}.path")
            self.check_tags(f".outputs.parameters[{output.name}]", output.value_from.path, known)
        self.check_tags(kind, pod.model_dump(), known)

    def calls(self) -> None:
        template, known = self.template, set(self.known)
        steps = steps_of(template)
        _unique(
            (step.name for step in steps),
            f"{self.path}.{'steps' if template.steps is not None else 'dag.tasks'}",
        )
        if template.dag is not None:
            self.dag(known)
        for group in template.steps or []:
            for step in group:
                self.call(f".steps[{step.name}]", step, known)
            for step in group:
                known |= self.node_names("steps", step)
        if template.dag is not None:
            for task in template.dag.tasks:
                known |= self.node_names("tasks", task)
        for output in template.outputs.parameters:
            self.output(output, known)

    def output(self, output: Parameter, known: set[str]) -> None:
        where, source = f".outputs.parameters[{output.name}]", output.value_from
        if source is None or (source.parameter is None) == (source.expression is None):
            raise self.fail(f"{where}.valueFrom", "needs either parameter or expression here")
        if source.parameter is not None:
            self.check_tags(where, source.parameter, known)
        if source.expression is not None:
            self.expression(where, source.expression, known)

    def node_names(self, prefix: str, step: Step) -> set[str]:
        outputs = self.library.find(step, self.scope).template.outputs.parameters
        names = {f"{prefix}.{step.name}.{field}" for field in _NODE_FIELDS}
        if step.loops:
            names.add(f"{prefix}.{step.name}.outputs.parameters")
        return names | {f"{prefix}.{step.name}.outputs.parameters.{p.name}" for p in outputs}

    def call(self, where: str, step: Step, known: set[str]) -> None:
        if not _NAME.fullmatch(step.name):
            raise self.fail(
                where, "no valid name of a step", value=step.name, allowed="letters, digits and -"
            )
        if (step.template is None) == (step.template_ref is None):
            raise self.fail(where, "needs either template or templateRef")
        loops = [step.with_items is not None, step.with_param is not None, step.with_sequence is not None]
        if sum(loops) > 1:
            raise self.fail(where, "needs only one of withItems, withParam and withSequence")
        for name in ("with_items", "with_param"):
            self.check_tags(f"{where}.{name}", getattr(step, name), known)
        inner = known | {"item"} if step.loops else known
        self.check_tags(f"{where}.when", step.when, inner)
        declared = {p.name: p for p in self.library.find(step, self.scope).template.inputs.parameters}
        _unique((p.name for p in step.arguments.parameters), f"{self.path}{where}.arguments")
        for argument in step.arguments.parameters:
            spot = f"{where}.arguments[{argument.name}]"
            if argument.value_from is not None:
                raise self.fail(f"{spot}.valueFrom", "not supported by the local engine; use value")
            if argument.name not in declared:
                raise self.fail(
                    spot, "the template has no such input", allowed=nearest(argument.name, declared)
                )
            self.check_tags(spot, argument.value, inner)
        given = {p.name for p in step.arguments.parameters if p.value is not None}
        for name, parameter in declared.items():
            if name not in given and parameter.value is None and parameter.default is None:
                raise self.fail(where, f"the input {name} has no value")

    def dag(self, known: set[str]) -> None:
        assert self.template.dag is not None
        tasks = {task.name: task for task in self.template.dag.tasks}
        for target in (self.template.dag.target or "").split():
            if target not in tasks:
                raise self.fail(
                    ".dag.target", "there is no such task", value=target, allowed=nearest(target, tasks)
                )
        if any(task.depends is not None for task in tasks.values()) and any(
            task.dependencies for task in tasks.values()
        ):
            raise self.fail(".dag", "cannot use both depends and dependencies in the same DAG")
        before: dict[str, set[str]] = {}
        for task in tasks.values():
            self.ancestors(task, tasks, before, ())
        for task in tasks.values():
            seen = set(known)
            for name in before[task.name]:
                seen |= self.node_names("tasks", tasks[name])
            self.call(f".dag.tasks[{task.name}]", task, seen)

    def ancestors(
        self, task: Task, tasks: dict[str, Task], before: dict[str, set[str]], trail: tuple[str, ...]
    ) -> set[str]:
        if task.name in trail:
            raise self.fail(".dag", f"the tasks wait for each other: {' → '.join((*trail, task.name))}")
        if task.name in before:
            return before[task.name]
        where, result = f".dag.tasks[{task.name}]", set()
        for name in dependencies_of(task):
            if name not in tasks:
                raise self.fail(
                    where, "depends on a task that is not there", value=name, allowed=nearest(name, tasks)
                )
            result |= {name} | self.ancestors(tasks[name], tasks, before, (*trail, task.name))
        before[task.name] = result
        return result


def dependencies_of(task: Task) -> list[str]:
    """The tasks that a task waits for, in the order in which it names them."""
    if task.depends is None:
        return list(task.dependencies)
    names = []
    for path in sorted(expressions.parse(task.depends, "depends").paths):
        name, _, result = path.partition(".")
        if result and result not in _RESULTS:
            raise InvalidInput(f"depends: {result} is no result of a task", allowed=", ".join(_RESULTS))
        names.append(name)
    return list(dict.fromkeys(names))
