"""`infra up|plan|down|inventory`: the machines under the platform, by Terraform."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from services.common.errors import InvalidInput, RookeryError
from workflows.commands.console import console, print_json, say
from workflows.commands.options import Json, settings

if TYPE_CHECKING:
    from workflows.infra.provision import Provisioner

commands = typer.Typer(
    no_args_is_help=True, help="Machines for the platform, on OpenStack or libvirt, by Terraform."
)


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    app.add_typer(commands, name="infra", rich_help_panel="Machines")


def complete_site(incomplete: str) -> Iterable[str]:
    """Sites that are remembered, and environments."""
    try:
        chosen = settings()
        folders = [*(chosen.home / "infra").glob("*"), *(chosen.repository / "tf" / "envs").glob("*")]
    except (RookeryError, OSError):
        return []
    return sorted({path.name for path in folders if path.is_dir() and path.name.startswith(incomplete)})


SiteName = Annotated[
    str,
    typer.Argument(
        metavar="SITE",
        help="libvirt, chameleon, or a name of your own with --on.",
        autocompletion=complete_site,
    ),
]
On = Annotated[
    str | None,
    typer.Option(
        "--on", help="Environment of tf/envs. Default: the one named as the site.", show_default=False
    ),
]
Variables = Annotated[
    list[str] | None,
    typer.Option(
        "--variable", "-v", help="name=value of Terraform; lists as JSON. Remembered.", show_default=False
    ),
]
VariableFile = Annotated[
    Path | None,
    typer.Option("--variables", help="YAML file of variables; -v goes over it.", show_default=False),
]
Identity = Annotated[
    Path | None,
    typer.Option(
        "--identity",
        "-i",
        help="Private key for the logins. Remembered. Default: SSH's own.",
        show_default=False,
    ),
]


@commands.command()
def up(
    site: SiteName,
    on: On = None,
    variable: Variables = None,
    variables: VariableFile = None,
    identity: Identity = None,
    wait: Annotated[
        float | None,
        typer.Option(
            help="Seconds until every machine lets us in. Default: ROOKERY_INFRA_SSH_SECONDS.",
            min=1,
            max=7200,
            show_default=False,
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Also if machines would be destroyed or replaced.")
    ] = False,
) -> None:
    """Make the machines, wait until SSH lets us in, write the Ansible inventory. Again, it changes what differs.

    Examples:

        rookery infra up libvirt -v base_image=/images/debian-12.qcow2 -v ssh_public_keys='["ssh-ed25519 AAAA… me"]'

        rookery infra up chameleon --variables chameleon.yaml --identity ~/.ssh/chameleon
    """
    path = _provisioner(site, on, variable, variables, identity).up(may_destroy=yes, ssh_seconds=wait)
    say(f"inventory: {path}")
    say(f"next: cd ansible && ansible-playbook -i {path} playbooks/site.yml")


@commands.command()
def plan(
    site: SiteName,
    on: On = None,
    variable: Variables = None,
    variables: VariableFile = None,
    as_exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with 3 if something would change.")
    ] = False,
) -> None:
    """Show what `up` would change; change nothing.

    Examples:

        rookery infra plan libvirt

        rookery infra plan libvirt -v node_count=5
    """
    changes = _provisioner(site, on, variable, variables, None).plan()
    if as_exit_code and changes:
        raise typer.Exit(3)


@commands.command()
def down(
    site: SiteName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    with_volume: Annotated[
        bool,
        typer.Option("--with-volume", help="Delete the volume too, with all data of PostgreSQL and MinIO."),
    ] = False,
) -> None:
    """Destroy the machines. A volume of its own stays, unless asked.

    Examples:

        rookery infra down libvirt --yes

        rookery infra down chameleon --with-volume
    """
    left = _provisioner(site).down(lambda question: yes or _asked(question), with_volume=with_volume)
    say(f"left: {', '.join(left)}" if left else "nothing is left")


@commands.command()
def inventory(
    site: SiteName,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Where to write. Default: the site's folder.", show_default=False
        ),
    ] = None,
    identity: Identity = None,
    as_json: Json = False,
) -> None:
    """Write the Ansible inventory again from what Terraform knows.

    Examples:

        rookery infra inventory libvirt

        rookery infra inventory chameleon --output ansible/inventories/chameleon/hosts.yml
    """
    from workflows.infra import inventory as inventories

    provisioner = _provisioner(site, identity=identity)
    if as_json:
        print_json(inventories.inventory(provisioner.known_access()))
        return
    say(str(provisioner.write_inventory(output)))


def _provisioner(
    name: str,
    on: str | None = None,
    variable: list[str] | None = None,
    variables: Path | None = None,
    identity: Path | None = None,
) -> Provisioner:
    from workflows.infra.provision import Provisioner
    from workflows.infra.settings import InfraSettings
    from workflows.infra.sites import open_site

    chosen = settings()
    given = {**read_variables(variables), **parse_variables(variable or [])}
    site = open_site(chosen.home, chosen.repository, name, environment=on, variables=given, identity=identity)
    return Provisioner(site, InfraSettings.read(), say)


def parse_variables(given: Iterable[str]) -> dict[str, Any]:
    """`name=value` pairs; a value that is JSON is taken as that, any other as text.

    Raises:
        InvalidInput: no name, or no `=`.
    """
    values: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise InvalidInput("a variable is given as name=value", value=text)
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return values


def read_variables(path: Path | None) -> dict[str, Any]:
    """The variables of a YAML file.

    Raises:
        InvalidInput: it is no map.
    """
    if path is None:
        return {}
    try:
        found = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidInput("the file of variables is no YAML", value=str(path)) from error
    if not isinstance(found, dict):
        raise InvalidInput("the file of variables must be a map from names to values", value=str(path))
    return {str(name): value for name, value in found.items()}


def _asked(question: str) -> bool:
    if not console().is_terminal:
        raise InvalidInput(f"nobody can be asked here: {question}", allowed="--yes")
    return typer.confirm(question)
