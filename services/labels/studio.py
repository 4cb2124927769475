"""Label Studio over its HTTP API."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx

from services.common.errors import InvalidInput, RookeryError, Unavailable
from services.common.trust import trust_for
from services.labels.desk import Links
from services.labels.form import configuration, read_result, task_fields
from services.labels.task import Annotation, Batch, Project, Stray, Task

_BATCH = 500
_PAGE = 500
_TIMEOUT = httpx.Timeout(60, connect=3)
_MOST_BYTES = 512 << 20
_WHOLE_SECONDS = 3600.0
_MARGIN = timedelta(minutes=10)
# The names of annotations too: one list holds for tasks and what is in them.
_READ = "id,data,updated_at,annotations,result,completed_by,created_at,was_cancelled"
_ANSWERED = {
    "filters": {
        "conjunction": "or",
        "items": [
            {"filter": f"filter:tasks:{name}", "operator": "greater", "type": "Number", "value": 0}
            for name in ("total_annotations", "cancelled_annotations")
        ],
    }
}


@dataclass(frozen=True)
class _Mark:
    """How far a project was read.

    Attributes:
        changed: newest change of a task that was seen, as Label Studio's clock says.
        whole: when all of it was read, on the monotonic clock.
    """

    changed: str
    whole: float


class StudioDesk:
    """Projects, tasks and annotations in Label Studio.

    Args:
        token: a token of the API, or a personal access token, which is exchanged for short-lived ones.
        blind: tasks of the random share do not show the model's answer.
        hook: address that Label Studio calls when somebody answers, and what it says to prove itself.
    """

    def __init__(
        self, url: str, token: str, *, blind: bool = True, hook: tuple[str, str] | None = None
    ) -> None:
        self._token, self._blind, self._hook = token, blind, hook
        self._client = httpx.Client(base_url=url, timeout=_TIMEOUT, trust_env=False, verify=trust_for(url))
        self._projects: dict[str, int] = {}
        self._marks: dict[int, _Mark] = {}
        if token.count(".") != 2:
            self._client.headers["Authorization"] = f"Token {token}"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def open(self, project: Project) -> bool:
        """Make the project, or bring its configuration up to date; true: it was made now."""
        found = self._find(project)
        fields = {"label_config": configuration(project)}
        if found is not None:
            if found["label_config"] != fields["label_config"]:
                self._call("PATCH", f"/api/projects/{found['id']}", fields)
            self._listen(project, int(found["id"]))
            return False
        made = self._call(
            "POST",
            "/api/projects",
            {
                **fields,
                "title": _title(project),
                "description": f"Inputs that {project.application} was asked about; made by Rookery.",
                "maximum_annotations": 1,
                "overlap_cohort_percentage": 100,
                "show_collab_predictions": True,
                "sampling": "Uniform sampling",
            },
        )
        self._projects[project.application] = int(made["id"])
        self._listen(project, int(made["id"]))
        return True

    def put(self, project: Project, tasks: Sequence[Task], links: Links) -> None:
        """Import tasks, those that are there already not again; then say which of them several people are asked."""
        number = self._number(project)
        there = self._digests(number) if tasks else {}
        fresh = [task for task in tasks if task.digest not in there]
        numbers: dict[str, tuple[int, int]] = {}
        for start in range(0, len(fresh), _BATCH):
            part = fresh[start : start + _BATCH]
            body = [
                task_fields(task, links(task), blind=self._blind and task.reason == "random") for task in part
            ]
            path = f"/api/projects/{number}/import?return_task_ids=true"
            made = (self._call("POST", path, body) or {}).get("task_ids") or []
            # In the order of the body; a new task is asked of one person.
            numbers.update(
                zip((task.digest for task in part), ((int(name), 1) for name in made), strict=False)
            )
        if len(numbers) == len(fresh):
            there |= numbers
        elif fresh:
            there = self._digests(number)
        for task in tasks:
            name, overlap = there.get(task.digest, (0, task.overlap))
            if name and overlap != task.overlap:
                self._call("PATCH", f"/api/tasks/{name}/", {"overlap": task.overlap})

    def collect(self, project: Project) -> Batch:
        """The annotations of tasks that changed since the last time, with some before it; all of them once an hour.

        Tasks are read in pages: each export would leave a file with the whole project on Label Studio's disk.
        """
        number = self._number(project)
        people = {int(user["id"]): str(user["email"]) for user in self._call("GET", "/api/users/")}
        mark = self._marks.get(number)
        whole = mark is None or time.monotonic() - mark.whole > _WHOLE_SECONDS
        query = _ANSWERED if whole or mark is None else _changed_since(mark.changed)
        begun, changed = time.monotonic(), "" if mark is None else mark.changed
        batch = Batch()
        path = f"/api/tasks/?project={number}&fields=all&include={_READ}&query={quote(json.dumps(query))}"
        for task in self._pages(path, "tasks"):
            changed = max(changed, str(task.get("updated_at") or ""))
            data = task.get("data")
            digest = data.get("digest") if isinstance(data, dict) else None
            for one in task.get("annotations") or []:
                self._read(batch, project, digest, one, people)
        if changed:
            self._marks[number] = _Mark(changed, begun if whole or mark is None else mark.whole)
        return batch

    def _read(
        self, batch: Batch, project: Project, digest: Any, one: dict[str, Any], people: dict[int, str]
    ) -> None:
        # Numbers begin anew when its database is lost; with the time they are never used twice.
        name = f"{project.application}-{one.get('id')}-{one.get('created_at') or ''}"
        if not isinstance(digest, str):
            batch.strays.append(Stray(name, "its task is none of ours", json.dumps(one)))
            return
        by = one.get("completed_by")
        by = by.get("id") if isinstance(by, dict) else by
        annotator = people.get(by, f"user {by}") if isinstance(by, int) else "unknown"
        try:
            answer = read_result(one.get("result"), project.classes, cancelled=bool(one.get("was_cancelled")))
        except InvalidInput as error:
            batch.strays.append(Stray(name, f"it cannot be read: {error}", json.dumps(one)))
            return
        at = str(one.get("updated_at") or one.get("created_at") or "")
        batch.annotations.append(Annotation(name, digest, annotator, at, answer))

    def _number(self, project: Project) -> int:
        if project.application not in self._projects:
            self.open(project)
        return self._projects[project.application]

    def _find(self, project: Project) -> dict[str, Any] | None:
        for found in self._pages("/api/projects?include=id,title,label_config", "results"):
            if found["title"] == _title(project):
                self._projects[project.application] = int(found["id"])
                return found
        self._projects.pop(project.application, None)
        return None

    def _digests(self, number: int) -> dict[str, tuple[int, int]]:
        """Digest → id and overlap of each task that is there."""
        path = f"/api/tasks/?project={number}&fields=all&include=id,data,overlap"
        return {
            str(task["data"].get("digest")): (int(task["id"]), int(task.get("overlap") or 1))
            for task in self._pages(path, "tasks")
        }

    def _listen(self, project: Project, number: int) -> None:
        """Have Label Studio call when somebody answers."""
        if self._hook is None:
            return
        url, secret = self._hook
        url = f"{url}?application={project.application}"
        wanted = {
            "url": url,
            "project": number,
            "send_payload": False,
            "send_for_all_actions": False,
            "actions": ["ANNOTATION_CREATED", "ANNOTATION_UPDATED"],
            "headers": {"Authorization": f"Bearer {secret}"} if secret else {},
        }
        for found in self._call("GET", f"/api/webhooks/?project={number}"):
            if found.get("url") == url:
                if found.get("headers") != wanted["headers"] or not found.get("is_active", True):
                    self._call("PATCH", f"/api/webhooks/{found['id']}/", {**wanted, "is_active": True})
                return
        self._call("POST", "/api/webhooks/", wanted)

    def _pages(self, path: str, key: str) -> Iterator[dict[str, Any]]:
        page = 1
        while True:
            answer = self._call("GET", f"{path}&page={page}&page_size={_PAGE}")
            yield from answer[key]
            total = int(answer.get("total", answer.get("count", 0)))
            if page * _PAGE >= total:
                return
            page += 1

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        try:
            answer = self._client.request(method, path, json=body, headers=self._access())
            if answer.status_code == 401 and self._token.count(".") == 2:
                self._client.headers.pop("Authorization", None)
                answer = self._client.request(method, path, json=body, headers=self._access())
        except httpx.HTTPError as error:
            raise Unavailable(
                f"Label Studio does not answer: {type(error).__name__}", value=str(self._client.base_url)
            ) from error
        if answer.status_code >= 500 or answer.status_code == 429:
            raise Unavailable(f"Label Studio answers {answer.status_code}", value=path)
        if answer.is_error:
            raise _explained(answer, path)
        if len(answer.content) > _MOST_BYTES:
            raise InvalidInput("Label Studio's answer is too large", value=path)
        try:
            return answer.json() if answer.content else None
        except ValueError as error:
            raise Unavailable("Label Studio's answer is no JSON", value=path) from error

    def _access(self) -> dict[str, str]:
        """Nothing for a token of the API; for a personal access token the one that it is exchanged for."""
        if "Authorization" not in self._client.headers:
            answer = self._client.post("/api/token/refresh", json={"refresh": self._token})
            if answer.is_error:
                raise _explained(answer, "/api/token/refresh")
            self._client.headers["Authorization"] = f"Bearer {answer.json()['access']}"
        return {}


class LateDesk:
    """Label Studio whose token is looked for when it is first needed: it may start after us."""

    def __init__(
        self, url: str, token: Callable[[], str], *, blind: bool, hook: tuple[str, str] | None
    ) -> None:
        self._url, self._token, self._blind, self._hook = url, token, blind, hook
        self._made: tuple[str, StudioDesk] | None = None

    def open(self, project: Project) -> bool:
        """As `StudioDesk`."""
        return self._desk().open(project)

    def put(self, project: Project, tasks: Sequence[Task], links: Links) -> None:
        """As `StudioDesk`."""
        self._desk().put(project, tasks, links)

    def collect(self, project: Project) -> Batch:
        """As `StudioDesk`."""
        return self._desk().collect(project)

    def _desk(self) -> StudioDesk:
        token = self._token()
        if not token:
            raise Unavailable(
                "there is no token for Label Studio yet",
                allowed="ROOKERY_LABELS_STUDIO_TOKEN or _CREDENTIALS",
            )
        if self._made is None or self._made[0] != token:
            if self._made is not None:
                self._made[1].close()
            self._made = (token, StudioDesk(self._url, token, blind=self._blind, hook=self._hook))
        return self._made[1]


def _changed_since(mark: str) -> dict[str, Any]:
    """The query for tasks that changed after a mark, or shortly before it: pages are not read in one moment."""
    since = (datetime.fromisoformat(mark) - _MARGIN).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    item = {"filter": "filter:tasks:updated_at", "operator": "greater", "type": "Datetime"}
    return {"filters": {"conjunction": "and", "items": [item | {"value": since}]}}


def _title(project: Project) -> str:
    return f"Rookery: {project.application}"


def _explained(answer: httpx.Response, path: str) -> RookeryError:
    try:
        content = answer.json()
        detail = str(content.get("validation_errors") or content.get("detail") or content)
    except ValueError:
        detail = answer.text
    advice = "a valid token" if answer.status_code in (401, 403) else None
    return InvalidInput(
        f"Label Studio answers {answer.status_code}: {detail[:300]}", value=path, allowed=advice
    )
