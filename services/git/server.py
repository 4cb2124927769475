"""lighttpd before git's own http-backend: basic login, one repository, and a health page.

Source: git-http-backend(1), the example for lighttpd; lighttpd documentation of mod_cgi, mod_auth and mod_authn_file.
"""

from __future__ import annotations

from pathlib import Path

from services.git.repository import git_environment
from services.git.settings import GitServerSettings

_BACKEND = "/usr/lib/git-core/git-http-backend"
_HEALTH = "/healthz"


def write_configuration(settings: GitServerSettings) -> Path:
    """Write the web server's configuration and its health page to the scratch folder; returns the file."""
    scratch = Path(settings.scratch)
    pages, uploads = scratch / "pages", scratch / "uploads"
    for folder in (pages, uploads):
        folder.mkdir(parents=True, exist_ok=True)
    (pages / _HEALTH.strip("/")).write_text("ok\n")
    path = scratch / "lighttpd.conf"
    path.write_text(configuration(settings, pages, uploads))
    return path


def configuration(settings: GitServerSettings, pages: Path, uploads: Path) -> str:
    """The text of lighttpd.conf."""
    environment = {
        **git_environment(settings),
        **settings.environment(),
        "GIT_PROJECT_ROOT": settings.root,
        "GIT_HTTP_EXPORT_ALL": "1",
    }
    variables = ",\n".join(f"    {_quoted(name)} => {_quoted(value)}" for name, value in environment.items())
    place = settings.repository.replace(".", r"\.")
    return f"""server.modules = ("mod_auth", "mod_authn_file", "mod_setenv", "mod_alias", "mod_cgi")
server.bind = {_quoted(settings.host)}
server.port = {settings.port}
server.document-root = {_quoted(str(pages))}
server.upload-dirs = ({_quoted(str(uploads))})
server.max-request-size = {settings.max_megabytes << 10}
server.max-connections = 128
server.max-read-idle = 60
server.max-write-idle = 300
server.stream-response-body = 1
server.tag = ""
mimetype.assign = ("" => "text/plain")
$HTTP["url"] =~ "^/{place}/" {{
  auth.backend = "htpasswd"
  auth.backend.htpasswd.userfile = {_quoted(settings.users_file)}
  auth.require = ("" => ("method" => "basic", "realm" => "rookery", "require" => "valid-user"))
  alias.url = ("/" => "{_BACKEND}/")
  cgi.assign = ("" => "")
  setenv.set-environment = (
{variables}
  )
}}
"""


def _quoted(text: str) -> str:
    if any(char in text for char in '"\\\n\r'):
        raise ValueError(f"a setting may not have quotes, backslashes or line ends (got {text!r})")
    return f'"{text}"'
