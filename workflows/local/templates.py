"""WorkflowTemplates from a folder of YAML files, and the finding of a template from where it is called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.common.errors import InvalidInput, NotFound
from workflows.local.manifest import Manifest, parse_manifest, read_yaml
from workflows.local.models import Step, Template, nearest

LOCAL = ""


class TemplateStore:
    """The WorkflowTemplates of a folder, read when asked for. Files of other kinds are passed over."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._raw: dict[str, dict[str, Any]] | None = None
        self._manifests: dict[str, Manifest] = {}

    def _documents(self) -> dict[str, dict[str, Any]]:
        if self._raw is None:
            self._raw = {}
            files = sorted(self.folder.glob("*.yaml")) if self.folder and self.folder.is_dir() else []
            for file in files:
                for document in read_yaml(file.read_text(encoding="utf-8"), file.name):
                    if isinstance(document, dict) and document.get("kind") == "WorkflowTemplate":
                        self._raw[str((document.get("metadata") or {}).get("name"))] = document
        return self._raw

    def names(self) -> list[str]:
        """All template names, sorted."""
        return sorted(self._documents())

    def get(self, name: str) -> Manifest:
        """The WorkflowTemplate of that name; NotFound with the nearest name."""
        if name not in self._manifests:
            documents = self._documents()
            if name not in documents:
                allowed = (
                    nearest(name, documents) or ", ".join(sorted(documents)) or "no WorkflowTemplate is there"
                )
                raise NotFound("there is no such WorkflowTemplate", value=name, allowed=allowed)
            try:
                self._manifests[name] = parse_manifest(documents[name])
            except InvalidInput as error:
                raise InvalidInput(f"WorkflowTemplate {name}: {error}") from error
        return self._manifests[name]


class StoredTemplates(TemplateStore):
    """The WorkflowTemplates that a run took with it when it was submitted."""

    def __init__(self, raw: Mapping[str, dict[str, Any]]) -> None:
        super().__init__(None)
        self._raw = dict(raw)


@dataclass(frozen=True)
class Found:
    """A template with the scope that its own calls are resolved in: "" or a WorkflowTemplate's name."""

    scope: str
    template: Template


class Library:
    """Every template that a workflow can reach."""

    def __init__(self, manifest: Manifest, store: TemplateStore) -> None:
        self.manifest = manifest
        self.store = store
        reference = manifest.spec.workflow_template_ref
        self.base = store.get(reference.name) if reference else None
        self.used: set[str] = {reference.name} if reference else set()

    def _templates(self, scope: str) -> dict[str, Template]:
        if scope != LOCAL:
            self.used.add(scope)
            return {t.name: t for t in self.store.get(scope).spec.templates}
        own = [*(self.base.spec.templates if self.base else []), *self.manifest.spec.templates]
        return {t.name: t for t in own}

    def find(self, call: Step, scope: str) -> Found:
        """The template that a step or task calls."""
        if call.template_ref is not None:
            scope, name = call.template_ref.name, call.template_ref.template
        elif call.template is not None:
            name = call.template
        else:
            raise InvalidInput(f"step {call.name}: a template or templateRef is missing")
        known = self._templates(scope)
        if name not in known:
            where = f"WorkflowTemplate {scope}" if scope else "this workflow"
            raise NotFound(f"there is no such template in {where}", value=name, allowed=nearest(name, known))
        return Found(scope, known[name])

    def walk(self, calls: list[tuple[Step, str]]) -> Iterator[Found]:
        """Every template reachable from these calls, each once."""
        seen: set[tuple[str, str]] = set()
        waiting = [self.find(call, scope) for call, scope in calls]
        while waiting:
            found = waiting.pop()
            key = (found.scope, found.template.name)
            if key in seen:
                continue
            seen.add(key)
            yield found
            waiting += [self.find(call, found.scope) for call in steps_of(found.template)]


def steps_of(template: Template) -> list[Step]:
    """The steps or tasks of a template."""
    if template.dag is not None:
        return list(template.dag.tasks)
    return [step for group in template.steps or [] for step in group]
