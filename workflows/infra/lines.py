"""What a running Terraform says, line by line, while somebody looks after interrupts and silence."""

from __future__ import annotations

import codecs
import os
import selectors
import subprocess
from collections.abc import Iterator

from workflows.infra.interrupt import Interrupt
from workflows.infra.silence import Silence

_READ_BYTES = 1 << 16
_EXIT_SECONDS = 0.05


def lines(process: subprocess.Popen[bytes], interrupt: Interrupt, silence: Silence) -> Iterator[str]:
    """The lines as they are written, with their ends, until the process has ended.

    Both look at the process whenever they asked to, and after every line: what was said is taken first, so that an
    interrupt is judged by the newest that is known.
    """
    assert process.stdout is not None
    output, rest = process.stdout.fileno(), ""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        selector.register(interrupt, selectors.EVENT_READ)
        speaks = True
        while speaks or process.poll() is None:
            wait = min(interrupt.look(process), silence.look(process), 3600.0 if speaks else _EXIT_SECONDS)
            ready = {key.fd for key, _ in selector.select(max(wait, 0))}
            if output not in ready:
                continue
            data = os.read(output, _READ_BYTES)
            silence.heard()
            if not data:
                selector.unregister(output)
                speaks = False
            *whole, rest = (rest + decoder.decode(data, final=not data)).split("\n")
            for line in whole:
                yield line + "\n"
                interrupt.look(process)
    if rest:
        yield rest
