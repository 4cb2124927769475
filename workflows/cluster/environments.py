"""`status` and `verify` of a cluster: the same witnesses as on one machine, asked through the Kubernetes API."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from services.common.errors import IntegrityError, NotFound, RookeryError
from workflows.cluster.api import Forbidden, Object
from workflows.cluster.site import Site
from workflows.local.status import EnvironmentStatus, Explain, drift_of, environments_in, is_healthy
from workflows.local.verification import Verdict
from workflows.release.application import ApplicationFacts, load_application
from workflows.release.evidence import Evidence, released
from workflows.release.history import Why, why
from workflows.release.running import RunningModel, fetch_running
from workflows.release.tree import Tree
from workflows.release.verify import Verification, verify_environment, verify_golden
from workflows.steps.rollout import ARGO_CD, DEPLOYMENT, judge, namespace_of

_ASK_SECONDS = 15.0


def environment_statuses(
    site: Site, application: str | None = None, *, explain: Explain = why
) -> list[EnvironmentStatus]:
    """Every environment of one application, or of all.

    Args:
        explain: `why`, or one that remembers what it said of a commit.

    Raises:
        NotFound: there is no such application.
    """
    tree = site.tree()
    places = environments_in(tree, application)
    with ThreadPoolExecutor(max_workers=max(1, len(places))) as pool:
        return list(pool.map(lambda place: _status(site, tree, place[0], place[1], explain), places))


def verify_there(site: Site, application: str, environment: str) -> Verdict:
    """Compares git, registry alias, image and memory of an environment of the cluster.

    Raises:
        NotFound: no such application or environment.
    """
    tree = site.tree()
    facts = load_application(tree, application)
    facts.check_environment(environment)
    images = site.images()
    with site.mlflow() as registry:
        places = verify_environment(
            tree,
            application,
            environment,
            registry=registry,
            image=lambda digest: images.check(application, digest),
            running=lambda: fetch_running(site.environment(facts, environment)),
        )
    return Verdict(places, _golden(site, tree, facts, environment))


def _golden(site: Site, tree: Tree, facts: ApplicationFacts, environment: str) -> Verification | None:
    try:
        found = released(tree, facts.name, environment)
        if found is None:
            return None
        proof = found.evidence
        bundle = site.images().bundle(facts.name, proof.image_digest, proof.bundle_digest)
        return verify_golden(site.environment(facts, environment), bundle)
    except (NotFound, IntegrityError):
        # What git, the image or the server lacks is said by the places.
        return None


def _status(
    site: Site, tree: Tree, facts: ApplicationFacts, environment: str, explain: Explain
) -> EnvironmentStatus:
    found, problem = _wanted(tree, facts.name, environment, explain)
    evidence, since = (found.evidence, found.since) if found else (None, None)
    url, memory = _memory(site, facts, environment) if evidence or problem else ("", None)
    phase, reason = _phase(site, facts.name, environment, evidence)
    expected = evidence is not None or memory is not None
    return EnvironmentStatus(
        application=facts.name,
        environment=environment,
        phase=phase,
        version=evidence.model_version if evidence else memory.model_version if memory else "",
        digest=evidence.image_digest if evidence else "",
        memory=memory.image_digest if memory else "",
        metric=evidence.metric.name if evidence else "",
        metric_value=evidence.metric.value if evidence else None,
        since=since.at if since else "",
        health=("ok" if memory and is_healthy(url) else "down") if expected else "",
        drift="git is not readable" if problem else drift_of(evidence, memory),
        reason=problem or reason,
        url=site.settings.environment_url.format(
            application=facts.name, environment=environment, port=facts.ports.get(environment, "")
        )
        if expected
        else "",
        commit=since.commit if since else "",
        run_id=evidence.run_id if evidence else "",
        quarantined=found.quarantined.reason if found and found.quarantined else "",
    )


def _wanted(tree: Tree, application: str, environment: str, explain: Explain) -> tuple[Why | None, str]:
    try:
        return explain(tree.git.folder, application, environment, revision=tree.revision), ""
    except RookeryError as error:
        return None, error.message


def _memory(site: Site, facts: ApplicationFacts, environment: str) -> tuple[str, RunningModel | None]:
    try:
        url = site.environment(facts, environment)
        return url, fetch_running(url, timeout_seconds=_ASK_SECONDS)
    except RookeryError:
        return "", None


def _phase(site: Site, application: str, environment: str, evidence: Evidence | None) -> tuple[str, str]:
    """The phase in the deployer's words, and what is missing."""
    if evidence is None:
        return "empty", ""
    space = namespace_of(application, environment)
    try:
        deployment = _object(site, f"/apis/apps/v1/namespaces/{space}/deployments/{DEPLOYMENT}")
        pods = (_object(site, f"/api/v1/namespaces/{space}/pods") or {}).get("items", [])
        place = f"/apis/argoproj.io/v1alpha1/namespaces/{ARGO_CD}/applications/{space}"
        followed = _object(site, place, needed=False)
    except RookeryError as error:
        return "unknown", error.message
    rollout = judge(deployment, pods, followed, evidence.image_digest)
    if rollout.complete:
        return "running", ""
    return ("failed" if _is_stuck(deployment) else "starting"), rollout.reason


def _object(site: Site, path: str, *, needed: bool = True) -> Object | None:
    try:
        return site.kube.get(path)
    except NotFound:
        return None
    except Forbidden:
        if needed:
            raise
        return None


def _is_stuck(deployment: Object | None) -> bool:
    conditions = ((deployment or {}).get("status") or {}).get("conditions") or []
    return any(one.get("reason") == "ProgressDeadlineExceeded" for one in conditions)
