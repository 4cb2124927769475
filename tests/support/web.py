"""`httpx.get` and its like for servers of this machine: no proxy, and no certificates read for each call."""

from __future__ import annotations

from functools import partial

import httpx

from services.common.trust import trust_for

_NOBODY = trust_for("http://127.0.0.1")
request = partial(httpx.request, verify=_NOBODY, trust_env=False)
get = partial(httpx.get, verify=_NOBODY, trust_env=False)
head = partial(httpx.head, verify=_NOBODY, trust_env=False)
post = partial(httpx.post, verify=_NOBODY, trust_env=False)
put = partial(httpx.put, verify=_NOBODY, trust_env=False)
delete = partial(httpx.delete, verify=_NOBODY, trust_env=False)
stream = partial(httpx.stream, verify=_NOBODY, trust_env=False)
