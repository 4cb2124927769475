"""`share`: how much of production's live traffic the canary gets."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from services.common.errors import Refused
from workflows.commands.console import print_json, say
from workflows.commands.options import Cluster, Context, Json, Repository, complete_application, tree_of, user
from workflows.commands.workplace import cluster_site

if TYPE_CHECKING:
    from workflows.cluster.site import Site
    from workflows.release.evidence import Evidence
    from workflows.release.sharing import Sharing

_WAIT_SECONDS = 120.0


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command(rich_help_panel="Environments")(share)


def share(
    application: Annotated[
        str, typer.Argument(help="A folder of k8s/apps.", autocompletion=complete_application)
    ],
    percent: Annotated[
        int | None,
        typer.Argument(
            help="What the canary gets, 0 to 50. Without it: what it gets now.", show_default=False
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; written into the commit.")] = "",
    wait: Annotated[bool, typer.Option(help="Wait until the gateway divides the traffic so.")] = True,
    repo: Repository = None,
    cluster: Cluster = False,
    context: Context = None,
    as_json: Json = False,
) -> None:
    """Send a share of production's live traffic to the canary, by one commit; 0 takes it back.

    Before the canary gets anything it is verified, as `rookery verify` does. A release of either ends the share.

    Examples:

        rookery share digits --cluster

        rookery share digits 10 --cluster --reason "version 8 beside version 7 for a day"

        rookery share digits 0 --cluster
    """
    from workflows.release.sharing import read_sharing

    if not (cluster or context):
        if percent is not None:
            raise Refused(
                "live traffic is divided by the gateway of a cluster; on one machine the canary gets copies",
                allowed="--cluster",
            )
        found = read_sharing(tree_of(repo), application)
    else:
        with cluster_site(context) as site:
            if percent is None:
                found = read_sharing(site.tree(), application)
            else:
                found = _divide(site, application, percent, reason, wait=wait, quiet=as_json)
    if as_json:
        print_json(found.as_dict())
    else:
        say(found.sentence())


def _divide(site: Site, application: str, percent: int, reason: str, *, wait: bool, quiet: bool) -> Sharing:
    from workflows.cluster.environments import verify_there
    from workflows.cluster.traffic import await_share
    from workflows.release.sharing import set_share

    def verified(proof: Evidence) -> None:
        found = verify_there(site, application, proof.environment)
        if not found.passed:
            raise Refused(f"{application} {proof.environment} is not what git says: {found.differs}")

    done, made = set_share(
        site.git(),
        application,
        percent,
        verified=verified,
        requested_by=user(),
        workflow=f"rookery-share/{uuid.uuid4()}",
        reason=reason,
    )
    if not made and not quiet:
        say("it was so already; nothing was committed")
    if wait and done.share == percent:
        await_share(site.kube, application, done.live, percent, _WAIT_SECONDS)
    return done
