"""One release in one environment: wait until it runs, verify it, confirm it, or take it back."""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from services.bundle.reader import Bundle
from services.common.digest import short
from services.common.errors import IntegrityError, InvalidInput, NotFound, Refused, Unavailable
from workflows.release.component import release_folder
from workflows.release.evidence import Evidence, released
from workflows.release.history import Step, steps
from workflows.release.rollback import revert
from workflows.release.running import fetch_running
from workflows.release.verify import verify_golden
from workflows.steps import news
from workflows.steps.outcome import say
from workflows.steps.places import environment_url, facts_of, images, repository
from workflows.steps.releasing import registry, verification_tag
from workflows.steps.rollout import Cluster
from workflows.steps.settings import StepSettings

PASSED, FAILED, SUPERSEDED = "passed", "failed", "superseded"
_POLL_SECONDS = 0.2
_LOOK_AT_GIT_EVERY = 25


@dataclass(frozen=True)
class Delivery:
    """The care that is owed to a commit that released something.

    Attributes:
        commit: it may be any commit in which the environment has the release.
    """

    settings: StepSettings
    application: str
    environment: str
    commit: str

    @cached_property
    def wanted(self) -> Evidence:
        """The evidence that the commit carries.

        Raises:
            Refused: the commit releases nothing to this environment.
        """
        found = released(repository(self.settings).tree(self.commit), self.application, self.environment)
        if found is None:
            raise Refused(f"commit {self.commit[:12]} releases nothing to {self.place}")
        return found.evidence

    @cached_property
    def url(self) -> str:
        """Address of the environment's server."""
        return environment_url(self.settings, facts_of(self.settings, self.application), self.environment)

    @cached_property
    def cluster(self) -> Cluster | None:
        """The cluster that the environment's pods run on; None on one machine."""
        return Cluster(self.settings.rollout_api) if self.settings.rollout_api else None

    @property
    def place(self) -> str:
        """Application and environment, for people."""
        return f"{self.application} {self.environment}"

    @property
    def what(self) -> str:
        """The release, for people."""
        return f"version {self.wanted.model_version} of {self.application} in {self.environment}"

    def is_current(self) -> bool:
        """Whether the tip still releases this image to the environment."""
        now = self._released_now()
        return now is not None and now.image_digest == self.wanted.image_digest

    def bundle(self) -> Bundle:
        """The bundle in the released image, checked against the digests that the evidence names."""
        wanted = self.wanted
        return images(self.settings).bundle(wanted.application, wanted.image_digest, wanted.bundle_digest)

    def wait(self) -> tuple[str, str]:
        """Wait until the server has the release in memory; verdict and reason.

        Raises:
            Unavailable: the cluster did not show the pods to the end of the wait.
        """
        verdict, reason = self._until_running(self.wanted)
        if verdict != PASSED and not self.is_current():
            return SUPERSEDED, self._replaced()
        return verdict, reason

    def verify(self) -> tuple[str, str, str]:
        """Send the golden inputs through HTTP; verdict, reason and p95 in ms."""
        try:
            bundle = self.bundle()
        except (IntegrityError, InvalidInput, NotFound) as error:
            reason = f"the bundle in the released image cannot be used: {error}"
            say(f"verification failed: {reason}")
            return FAILED, reason, ""
        result = verify_golden(self.url, bundle)
        p95 = f"{result.p95_ms:.2f}"
        if not result.passed:
            # The answers of a release that came meanwhile say nothing against this one.
            if not self.is_current():
                return SUPERSEDED, self._replaced(), p95
            reason = "; ".join(result.reasons)
            say(f"verification failed: {reason}")
            return FAILED, reason, p95
        say(f"{result.items} golden inputs answered as expected, p95 {p95} ms")
        return PASSED, "", p95

    def confirm(self, mlflow_ip: str, p95_ms: str) -> None:
        """Keep how it was verified, and point the registry's alias to it while git still has it there.

        Raises:
            Unavailable: MLflow does not answer; the message says what is right already and what is outstanding.
        """
        try:
            self._confirm(mlflow_ip, p95_ms)
        except Unavailable as error:
            raise Unavailable(
                f"{self.what} runs and answered its golden inputs as expected; outstanding are the record of this and "
                f"the alias {self.environment} in MLflow: {error.message}. Once MLflow answers, deliver-release does "
                f"the rest: rookery submit deliver-release -p application={self.application} "
                f"-p environment={self.environment} -p commit={self.commit}"
            ) from error

    def _confirm(self, mlflow_ip: str, p95_ms: str) -> None:
        version = self.wanted.model_version
        record = {
            "passed": True,
            "items": len(self.bundle().golden.inputs),
            "p95_ms": float(p95_ms),
            "commit": self.commit,
            "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        with registry(self.settings, mlflow_ip) as mlflow:
            current = self.is_current()
            if current:
                mlflow.set_alias(self.application, self.environment, version)
            # Last, since `is_confirmed` reads it: who finds it need not look for the alias.
            tag = verification_tag(self.environment)
            mlflow.set_version_tag(self.application, version, tag, json.dumps(record))
        if current:
            say(f"{self.environment} of {self.application} is version {version}")
            news.delivered(self.wanted, self.commit)
        else:
            say(f"{self._replaced()}; the alias is left to that one")

    def see_through(self, mlflow_ip: str, *, keep: bool, workflow: str) -> None:
        """Wait, verify, then confirm or withdraw. Whoever does it again finds what is done.

        Args:
            keep: leave a release that did not hold where it is.
            workflow: the token that commits of this workflow carry.

        Raises:
            Refused: the release did not hold.
        """
        if undone := self._withdrawn_by(workflow):
            raise Refused(self._withdrawn(undone.trailers.get("Reason", "no reason was recorded")))
        verdict, reason = self.wait()
        p95_ms = ""
        if verdict == PASSED:
            verdict, reason, p95_ms = self.verify()
        if verdict == PASSED:
            self.confirm(mlflow_ip, p95_ms)
        else:
            self.withdraw(verdict, reason, keep=keep, workflow=workflow)

    def is_confirmed(self, mlflow_ip: str) -> bool:
        """Whether the registry has the record that this commit's release was verified."""
        with registry(self.settings, mlflow_ip) as mlflow:
            tags = mlflow.version(self.application, self.wanted.model_version)["tags"]
        record = json.loads(tags.get(verification_tag(self.environment), "{}"))
        return bool(record.get("commit") == self.commit)

    def withdraw(self, verdict: str, reason: str, *, keep: bool, workflow: str) -> None:
        """Revert it by a commit, quarantine the image, and wait for the former version.

        Args:
            keep: leave it where it is and only say so.

        Raises:
            Refused: always; the release did not hold.
        """
        if verdict == SUPERSEDED:
            raise Refused(f"{self.what} was superseded: {reason}")
        if keep:
            raise Refused(f"{self.what} failed its verification and stays, as was asked: {reason}")
        result = revert(
            repository(self.settings),
            self.application,
            self.environment,
            image_digest=self.wanted.image_digest,
            reason=reason,
            requested_by="verification",
            workflow=workflow,
        )
        image = short(self.wanted.image_digest)
        say(f"commit {result.commit[:12]} reverts {self.what}; image {image} is in quarantine")
        news.withdrawn(self.wanted, result.commit, reason, workflow)
        raise Refused(self._withdrawn(reason))

    def _until_running(self, wanted: Evidence) -> tuple[str, str]:
        deadline = time.monotonic() + self.settings.delivery_seconds
        seen = ""
        tries = 0
        blind = False
        while time.monotonic() < deadline:
            try:
                state, blind = self._lacks(wanted), False
            except Unavailable as error:
                state, blind = error.message, True
            if not state:
                say(f"{self.place} has version {wanted.model_version} in memory")
                return PASSED, ""
            if state != seen:
                say(f"waiting for {self.place}: {state}")
                seen = state
            tries += 1
            if tries % _LOOK_AT_GIT_EVERY == 0:
                now = self._released_now()
                if now is None or now.image_digest != wanted.image_digest:
                    return SUPERSEDED, self._replaced()
            time.sleep(_POLL_SECONDS)
        limit = f"{self.settings.delivery_seconds:.0f} s"
        if blind:
            # That nobody can look says nothing against the release.
            raise Unavailable(
                f"whether {self.place} runs image {short(wanted.image_digest)} is not known: {seen}"
            )
        return FAILED, f"{self.place} did not run image {short(wanted.image_digest)} within {limit}: {seen}"

    def _lacks(self, wanted: Evidence) -> str:
        """What is missing until the environment runs a release: first its pods, then the memory of its server.

        Raises:
            Unavailable: the cluster does not show its pods.
        """
        if self.cluster is not None:
            rollout = self.cluster.rollout(self.application, self.environment, wanted.image_digest)
            if not rollout.complete:
                return rollout.reason
        try:
            running = fetch_running(self.url)
        except Unavailable as error:
            return error.message
        if (running.image_digest, running.bundle_digest) != (wanted.image_digest, wanted.bundle_digest):
            return f"it runs image {short(running.image_digest)}"
        return ""

    def _released_now(self) -> Evidence | None:
        now = released(repository(self.settings).tree(), self.application, self.environment)
        return now.evidence if now else None

    def _replaced(self) -> str:
        return f"{self.place} was given another release meanwhile"

    def _withdrawn_by(self, workflow: str) -> Step | None:
        """The commit by which this workflow took the release back, before its pod was lost."""
        tree = repository(self.settings).tree()
        folder = release_folder(self.application, self.environment)
        for step in steps(tree.git, tree.revision, folder, self.application, self.environment):
            if step.commit == self.commit:
                return None
            if step.action == "revert" and step.trailers.get("Workflow") == workflow:
                return step
        return None

    def _withdrawn(self, reason: str) -> str:
        return f"{self.what} failed its verification and was withdrawn ({reason}); {self._aftermath()}"

    def _aftermath(self) -> str:
        now = self._released_now()
        if now is None:
            return "nothing ran there before"
        verdict, reason = self._until_running(now)
        back = "serves again" if verdict == PASSED else f"is not back: {reason}"
        return f"version {now.model_version} {back}"
