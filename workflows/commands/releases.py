"""`history`, `why`, `plan`, `verify`, `rollback`: what is in an environment, and why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.common.digest import short
from services.common.errors import NotFound, Refused
from workflows.commands.console import local_time, print_json, print_table, say
from workflows.commands.options import (
    DEFAULT_APPLICATION,
    Application,
    Cluster,
    Context,
    Environment,
    Json,
    Repository,
    complete_environment,
    repository,
    settings,
    tree_of,
    user,
)
from workflows.commands.runs import conclude
from workflows.commands.workplace import cluster_site, workplace

if TYPE_CHECKING:
    from workflows.release.tree import Tree

PANEL = "Environments"


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    for command in (history, why, plan, verify, rollback):
        app.command(rich_help_panel=PANEL)(command)


def history(
    environment: Environment,
    application: Application = DEFAULT_APPLICATION,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="How many, newest first.")] = None,
    repo: Repository = None,
    cluster: Cluster = False,
    context: Context = None,
    as_json: Json = False,
) -> None:
    """Every commit that changed what an environment should run, from git alone.

    Examples:

        rookery history production

        rookery history staging -a birds --repo ../clone.git --json
    """
    from workflows.release.history import history as read_history

    with _past(repo, cluster, context) as (place, revision):
        found = read_history(place, application, environment, revision=revision, limit=limit)
    if as_json:
        print_json([step.as_dict() for step in found])
        return
    rows = [
        (
            *(
                local_time(step.at),
                step.action,
                step.model_version or "–",
                short(step.image_digest or "") or "–",
            ),
            *(step.commit[:12], step.trailers.get("From", ""), step.subject),
        )
        for step in found
    ]
    print_table(("when", "action", "version", "digest", "commit", "from", "subject"), rows)


def why(
    environment: Environment,
    application: Application = DEFAULT_APPLICATION,
    repo: Repository = None,
    cluster: Cluster = False,
    context: Context = None,
    as_json: Json = False,
) -> None:
    """What is in an environment, since when, from which data and run, and by which decisions; from git alone.

    Examples:

        rookery why production

        rookery why production --repo https-clone.git --json
    """
    from workflows.release.history import why as explain

    with _past(repo, cluster, context) as (place, revision):
        found = explain(place, application, environment, revision=revision)
    if as_json:
        print_json(found.as_dict())
        return
    for sentence in found.sentences():
        say(sentence)
    if found.path:
        say()
        rows = [(local_time(s.at), s.action, s.model_version, s.commit[:12], s.subject) for s in found.path]
        print_table(("when", "action", "version", "commit", "subject"), rows, title="The way it came")


def plan(
    source: Annotated[
        str, typer.Argument(help="Environment to promote from.", autocompletion=complete_environment)
    ],
    target: Annotated[
        str, typer.Argument(help="Environment to promote to.", autocompletion=complete_environment)
    ],
    application: Application = DEFAULT_APPLICATION,
    repo: Repository = None,
    cluster: Cluster = False,
    context: Context = None,
    as_json: Json = False,
) -> None:
    """What a promotion would change, and whether it would be refused; nothing is written.

    The exit code is 3 when it would be refused. The server of the source is not asked.

    Examples:

        rookery plan staging canary

        rookery plan canary production --json
    """
    from workflows.release.plan import plan_in

    with _files(repo, cluster, context) as tree:
        found = plan_in(tree, application, source, target)
    if as_json:
        print_json(found.as_dict())
    else:
        if found.diff:
            say(found.diff)
            say()
        print_table(
            ("", target, source), [(one.field, one.before or "–", one.after) for one in found.differences]
        )
        if not found.differences and found.model_version:
            say(f"{target} has version {found.model_version} already")
        for reason in found.refusals:
            say(f"would be refused: {reason}", "red")
        if found.possible:
            arguments = f"-p source-environment={source} -p target-environment={target}"
            say(
                f"\nrookery submit promote-model -p application={application} {arguments} "
                f"-p model-version={found.model_version}{' --cluster' if cluster or context else ''}"
            )
    if not found.possible:
        raise typer.Exit(3)


def verify(
    environment: Environment,
    application: Application = DEFAULT_APPLICATION,
    cluster: Cluster = False,
    context: Context = None,
    as_json: Json = False,
) -> None:
    """Compare git, registry alias, image and the memory of the running server, and name the one that differs.

    The golden inputs of the bundle are sent over HTTP too. The exit code is 3 when something differs, 1 when nothing is
    released, so that there is nothing to compare.

    Examples:

        rookery verify production

        rookery verify production --cluster
    """
    if cluster or context:
        from workflows.cluster.environments import verify_there

        with cluster_site(context) as site:
            found = verify_there(site, application, environment)
    else:
        from workflows.local.verification import verify_here

        found = verify_here(settings(), application, environment)
    if as_json:
        print_json(found.as_dict())
    elif not found.empty:
        print_table(("place", "", "version", "image", "bundle"), found.rows())
        for sentence in found.places.reasons:
            say(sentence, "red")
        if found.golden is not None:
            golden = found.golden
            say(
                f"golden inputs: {golden.labels_equal} of {golden.items} as expected, p95 {golden.p95_ms:.1f} ms"
            )
            for sentence in golden.reasons:
                say(sentence, "red")
    if found.empty:
        raise NotFound(
            f"nothing is released to {application} {environment}, so there is nothing to compare",
            allowed="`rookery demo`, or `rookery submit train-model`",
        )
    if not found.passed:
        raise Refused(f"{application} {environment} is not what git says: {found.differs}")


def rollback(
    environment: Environment,
    application: Application = DEFAULT_APPLICATION,
    reason: Annotated[str, typer.Option(help="Why; written into the commit.")] = "",
    quarantine: Annotated[
        bool, typer.Option(help="Whether the image that is left must never be promoted again.")
    ] = True,
    wait: Annotated[bool, typer.Option(help="Wait until the environment serves the former version.")] = True,
    cluster: Cluster = False,
    context: Context = None,
    as_json: Json = False,
) -> None:
    """Return an environment to its former good release: one commit, then wait until it serves it.

    Examples:

        rookery rollback production --reason "confuses 3 and 8"

        rookery rollback canary -a birds --no-quarantine
    """
    parameters = {
        "environment": environment,
        "application": application,
        "reason": reason,
        "quarantine": "true" if quarantine else "false",
        "requested-by": user(),
    }
    with workplace(cluster, context) as place:
        name = place.submit_template("rollback-model", parameters)
        conclude(place, name, wait=wait, watch=wait, as_json=as_json)


@contextmanager
def _files(repo: Path | None, cluster: bool, context: str | None) -> Iterator[Tree]:
    """The files at the tip of the repository that is asked for."""
    if not (cluster or context):
        yield tree_of(repo)
        return
    with cluster_site(context) as site:
        yield site.tree()


@contextmanager
def _past(repo: Path | None, cluster: bool, context: str | None) -> Iterator[tuple[Path, str]]:
    """The repository that is asked for, and where to look back from."""
    if not (cluster or context):
        yield repository(repo), "HEAD"
        return
    with cluster_site(context) as site:
        tree = site.tree()
        yield tree.git.folder, tree.revision
