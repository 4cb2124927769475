"""Delivers: a thread for each way, so that a mail server that hangs does not hold up the webhook."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from services.common.errors import Refused, RookeryError, Unavailable
from services.notify.channels import Channel
from services.notify.message import Message
from services.notify.outbox import GIVEN_UP, SENT, Outbox, Waiting
from services.notify.settings import NotifySettings
from services.notify.words import Phrasebook

T = TypeVar("T")
_LONGEST_PAUSE = 600.0
_LONGEST_OUTBOX_PAUSE = 60.0
_LOOK_SECONDS = 0.5
_TIDY_SECONDS = 600.0
_log = logging.getLogger(__name__)


class Courier:
    """Takes messages in and brings them to every channel that wants their kind."""

    def __init__(self, settings: NotifySettings, outbox: Outbox, channels: Sequence[Channel]) -> None:
        self.settings = settings
        self.outbox = outbox
        self.channels = channels
        self.phrasebook = Phrasebook(settings.templates)
        self._ended = threading.Event()
        self._woken = {channel.name: threading.Event() for channel in channels}
        self._threads = [
            threading.Thread(target=self._run, args=(channel,), name=channel.name, daemon=True)
            for channel in channels
        ]

    def start(self) -> None:
        """Begin with what waits from before."""
        self._tidy()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End; what waits is on disk."""
        self._ended.set()
        for event in self._woken.values():
            event.set()
        for thread in self._threads:
            thread.join(5)
        for channel in self.channels:
            channel.close()
        self.outbox.close()

    def take(self, key: str, message: Message) -> bool:
        """Keep a message for its channels; False when it came before.

        Raises:
            Unavailable: too many wait.
        """
        names = [channel.name for channel in self.channels if message.kind in channel.kinds]
        fresh = self.outbox.put(key, message, names)
        for name in names:
            self._woken[name].set()
        return fresh

    def deliver(self, channel: Channel, waiting: Waiting) -> None:
        """One try."""
        words = self.phrasebook.words(waiting.message, waiting.time)
        try:
            channel.send(waiting, words)
        except Refused as error:
            self._give_up(channel, waiting, error.message)
        except Exception as error:
            # A fault of ours in one message must not stop those behind it.
            reason = error.message if isinstance(error, RookeryError) else f"{type(error).__name__}: {error}"
            if not isinstance(error, Unavailable):
                _log.exception("a message could not be sent by %s", channel.name)
            if time.time() - waiting.time > self.settings.give_up_hours * 3600:
                self._give_up(channel, waiting, reason)
            else:
                pause = self.pause(waiting.tries)
                self._kept(lambda: self.outbox.again(waiting.key, channel.name, pause, reason))
        else:
            self._kept(lambda: self.outbox.ended(waiting.key, channel.name, SENT))

    def pause(self, tries: int) -> float:
        """Seconds until the next try: doubled each time up to ten minutes, and up to a fifth more by chance."""
        seconds = min(self.settings.retry_seconds * 2.0 ** min(tries, 30), _LONGEST_PAUSE)
        return seconds * random.uniform(1.0, 1.2)  # noqa: S311

    def _give_up(self, channel: Channel, waiting: Waiting, reason: str) -> None:
        _log.warning("given up by %s: %s: %s", channel.name, waiting.message.subject, reason)
        self._kept(lambda: self.outbox.ended(waiting.key, channel.name, GIVEN_UP, reason))

    def _kept(self, work: Callable[[], T]) -> T | None:
        """What the outbox says, asked until it answers; None: it is time to end.

        Nothing else is done meanwhile: what was sent and is not written down would be sent again.
        """
        pause = _LOOK_SECONDS
        while True:
            try:
                return work()
            except Exception:
                _log.exception("the outbox cannot be used; will try again")
            if self._ended.wait(pause):
                return None
            pause = min(pause * 2, _LONGEST_OUTBOX_PAUSE)

    def _run(self, channel: Channel) -> None:
        tidied = time.monotonic()
        woken = self._woken[channel.name]
        while not self._ended.is_set():
            woken.clear()
            waiting = self._kept(lambda: self.outbox.next(channel.name))
            if waiting is not None:
                self.deliver(channel, waiting)
            else:
                woken.wait(_LOOK_SECONDS)
            if channel is self.channels[0] and time.monotonic() - tidied > _TIDY_SECONDS:
                self._kept(self._tidy)
                tidied = time.monotonic()

    def _tidy(self) -> None:
        names = [channel.name for channel in self.channels]
        self.outbox.tidy(self.settings.keep_days * 86_400, names)
