"""`quarantine list` and `quarantine lift`: images that may run nowhere any more."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer

from services.common.digest import short
from services.common.errors import InvalidInput, NotFound
from workflows.commands.console import local_time, print_json, print_table, say
from workflows.commands.options import (
    DEFAULT_APPLICATION,
    Application,
    Json,
    Repository,
    settings,
    tree_of,
    user,
)

commands = typer.Typer(no_args_is_help=True, help="Images that may run nowhere any more, and why.")


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    app.add_typer(commands, name="quarantine", rich_help_panel="Environments")


@commands.command("list")
def list_entries(
    application: Application = DEFAULT_APPLICATION, repo: Repository = None, as_json: Json = False
) -> None:
    """What is in quarantine, since when and why; from git alone.

    Examples:

        rookery quarantine list

        rookery quarantine list -a birds --json
    """
    from workflows.release.application import load_application
    from workflows.release.quarantine import all_entries

    tree = tree_of(repo)
    load_application(tree, application)
    entries = all_entries(tree, application)
    if as_json:
        print_json([entry.model_dump(mode="json") for entry in entries])
        return
    if not entries:
        say(f"Nothing of {application} is in quarantine.")
        return
    rows = [
        (local_time(e.at), e.environment, e.model_version, short(e.image_digest), e.requested_by, e.reason)
        for e in entries
    ]
    print_table(("when", "environment", "version", "digest", "by", "reason"), rows)


@commands.command()
def lift(
    digest: Annotated[str, typer.Argument(help="Image digest, or its first 6 or more hex digits.")],
    reason: Annotated[str, typer.Option(help="Why; written into the commit.")],
    application: Application = DEFAULT_APPLICATION,
) -> None:
    """Let an image be promoted again, by one commit.

    Examples:

        rookery quarantine lift f4ce7b234965 --reason "the golden inputs were wrong, not the model"
    """
    from workflows.release.gitops import GitOps
    from workflows.release.quarantine import all_entries
    from workflows.release.quarantine import lift as lift_entry

    chosen = settings()
    gitops = GitOps(str(chosen.gitops), chosen.home / "cache" / "git")
    wanted = digest.removeprefix("sha256:")
    if len(wanted) < 6:
        raise InvalidInput("a digest needs at least 6 hex digits", value=digest)
    entries = all_entries(gitops.tree(), application)
    found = {e.image_digest for e in entries if e.image_digest.removeprefix("sha256:").startswith(wanted)}
    if len(found) != 1:
        listed = ", ".join(sorted({short(entry.image_digest) for entry in entries})) or "none"
        raise NotFound(f"not one image of {application} in quarantine fits", value=digest, allowed=listed)
    workflow = f"rookery-quarantine-lift/{uuid.uuid4()}"
    who = user()
    commit = lift_entry(gitops, application, found.pop(), reason=reason, requested_by=who, workflow=workflow)
    say(f"lifted by commit {commit.revision[:12]}; a promotion may bring the image back")
