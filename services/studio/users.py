"""What must be there before Label Studio serves: its tables, and the first user with the token of today.

Runs inside Label Studio's own Django, which only its image has.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping

from services.common.errors import Unavailable
from services.studio.server import packages

_ORGANIZATION = "Rookery"
_PAUSE_SECONDS = 2.0
_WAIT_SECONDS = 240.0


def prepare(own: Mapping[str, str]) -> None:
    """Bring the tables and the first user up to date; can be repeated.

    Raises:
        Unavailable: the database does not answer in time; the password is never in the message.
    """
    sys.path.insert(0, packages())
    import django
    from django.core.management import call_command
    from django.db import OperationalError, connection

    django.setup()
    where = f"{own['POSTGRE_HOST']}:{own.get('POSTGRE_PORT', '5432')}/{own['POSTGRE_NAME']}"
    wait_for(connection.ensure_connection, OperationalError, f"the database {where}")
    call_command("migrate", verbosity=0, interactive=False)
    ensure_user(own["LABEL_STUDIO_USERNAME"], own["LABEL_STUDIO_PASSWORD"], own["LABEL_STUDIO_USER_TOKEN"])
    connection.close()


def ensure_user(name: str, password: str, token: str) -> None:
    """Make the first user, or give the one who is there the password and token of today."""
    from organizations.models import Organization
    from rest_framework.authtoken.models import Token
    from users.models import User

    user = User.objects.filter(email=name).first() or User.objects.create_user(email=name, password=password)
    if not user.check_password(password):
        user.set_password(password)
    user.is_staff = user.is_superuser = True
    organization = Organization.objects.first()
    if organization is None:
        organization = Organization.create_organization(created_by=user, title=_ORGANIZATION)
    elif not organization.has_user(user):
        organization.add_user(user)
    user.active_organization = organization
    user.save()
    if Token.objects.filter(user=user).exclude(key=token).exists():
        Token.objects.filter(user=user).update(key=token)
    Token.objects.get_or_create(user=user, defaults={"key": token})


def wait_for(
    ask: Callable[[], object], error: type[Exception], what: str, seconds: float = _WAIT_SECONDS
) -> None:
    """Return when `ask` raises no more.

    Raises:
        Unavailable: it still raised `error` after `seconds`.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            ask()
            return
        except error as found:
            if time.monotonic() + _PAUSE_SECONDS > end:
                last = " ".join(str(found).split())[:300]
                raise Unavailable(f"{what} was not ready within {seconds:g} s: {last}") from None
        time.sleep(_PAUSE_SECONDS)
