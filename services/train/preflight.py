"""What can be said of a request before its run exists."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait

from services.common.errors import InvalidInput
from services.common.names import MOST_CHARACTERS, check_name
from services.data.dataset import Dataset
from services.data.source import load_dataset
from services.data.store import ObjectStoreSettings
from services.data.trainable import check_trainable
from services.train.families import check_kind, find_family
from services.train.hyperparameters import parse
from services.train.preprocessing import resolve
from services.train.pretrained_source import check_pretrained
from services.train.records import Request
from services.train.settings import TrainSettings

_KEPT = 4
_CHECKS = 2
_KEY = re.compile(r"[A-Za-z0-9._:/@-]{1,200}")


class Preflight:
    """Checks requests. A large dataset takes longer than a request may wait; the job then finishes the check.

    At most two datasets are looked through at a time, in threads that the end of the service does not wait for;
    the data of a request that comes meanwhile is left to its job.
    """

    def __init__(self, settings: TrainSettings) -> None:
        self._settings = settings
        self._free = threading.BoundedSemaphore(_CHECKS)
        self._keeping = threading.Lock()
        self._made: dict[str, Dataset] = {}

    def warm_up(self) -> None:
        """Load the digits once, so that the first request does not wait for imports."""
        self._begin(lambda: self._load("digits"))

    def request(
        self, application: str, model_name: str, data_source: str, hyperparameters: Mapping[str, str]
    ) -> Request:
        """The request, checked as far as the time allows.

        Raises:
            InvalidInput: a name or value is not allowed.
            DatasetError: the dataset cannot be trained on.
        """
        if not data_source:
            raise InvalidInput("data_source is missing", allowed="see GET /data-sources")
        application = check_name(application or default_application(data_source))
        family = find_family(model_name)
        hyper = parse(hyperparameters)
        if hyper.pretrained:
            if not family.pretrained:
                raise InvalidInput(f"{family.name} has no pretrained weights", value=hyper.pretrained)
            check_pretrained(hyper.pretrained, self._settings.roots)
        check = self._begin(lambda: self._check_data(model_name, data_source, hyperparameters))
        if check is not None and wait([check], self._settings.check_seconds).done:
            check.result()
        given = {name: value.strip() for name, value in hyperparameters.items() if value.strip()}
        return Request(
            application=application, model_name=model_name, data_source=data_source, hyperparameters=given
        )

    def _begin(self, check: Callable[[], object]) -> Future[None] | None:
        """Run it in a thread of its own; nothing when as many are running as may."""
        if not self._free.acquire(blocking=False):
            return None
        ended: Future[None] = Future()

        def run() -> None:
            failure: BaseException | None = None
            try:
                check()
            except BaseException as error:
                failure = error
            self._free.release()
            if failure is None:
                ended.set_result(None)
            else:
                ended.set_exception(failure)

        threading.Thread(target=run, name="preflight", daemon=True).start()
        return ended

    def _check_data(self, model_name: str, data_source: str, hyperparameters: Mapping[str, str]) -> None:
        dataset = self._load(data_source)
        check_trainable(dataset)
        check_kind(find_family(model_name), dataset.kind, data_source)
        resolve(parse(hyperparameters), dataset)

    def _load(self, data_source: str) -> Dataset:
        """The dataset; what is made from its name alone never changes and is kept for the next request."""
        if (known := self._made.get(data_source)) is not None:
            return known
        settings = self._settings
        dataset = load_dataset(
            data_source, store=ObjectStoreSettings(), roots=settings.roots, cache=settings.cache_dir
        )
        if not data_source.startswith(("/", "s3://")):
            with self._keeping:
                self._made[data_source] = dataset
                while len(self._made) > _KEPT:
                    self._made.pop(next(iter(self._made)))
        return dataset


def check_key(key: str | None) -> str:
    """The Idempotency-Key, or an empty text.

    Raises:
        InvalidInput: it has other characters than those allowed.
    """
    if key is None:
        return ""
    if not _KEY.fullmatch(key):
        raise InvalidInput("Idempotency-Key", value=key, allowed="1 to 200 letters, digits and . _ : / @ -")
    return key


def default_application(data_source: str) -> str:
    """The application of a request that names none: from the last part of its data source."""
    last = data_source.partition("?")[0].rstrip("/").rpartition("/")[2].lower()
    return re.sub(r"[^a-z0-9]+", "-", last).strip("-")[:MOST_CHARACTERS].strip("-")
