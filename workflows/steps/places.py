"""Git and the environments as the steps reach them."""

from services.common.errors import InvalidInput
from workflows.release.application import ApplicationFacts, load_application
from workflows.release.gitops import GitOps
from workflows.release.images import Images, open_images
from workflows.steps.settings import StepSettings


def repository(settings: StepSettings) -> GitOps:
    """The repository that the environments follow."""
    return GitOps(settings.git_remote, settings.cache / "git")


def images(settings: StepSettings) -> Images:
    """Where images are built and read: a layout on disk or a registry."""
    return open_images(settings.images, settings.cache / "images")


def facts_of(settings: StepSettings, application: str) -> ApplicationFacts:
    """The application's facts at the tip.

    Raises:
        NotFound: there is no such application.
    """
    return load_application(repository(settings).tree(), application)


def environment_url(settings: StepSettings, facts: ApplicationFacts, environment: str) -> str:
    """Address of the server of an environment.

    Raises:
        NotFound: the application has no such environment.
        InvalidInput: the address needs a port and the application names none.
    """
    facts.check_environment(environment)
    port = facts.ports.get(environment)
    if port is None and "{port}" in settings.environment_url:
        raise InvalidInput(f"application.yaml of {facts.name} names no port for", value=environment)
    return settings.environment_url.format(application=facts.name, environment=environment, port=port)


def workflow_token(name: str, uid: str) -> str:
    """What names a workflow in commits; the uid tells two workflows of the same name apart."""
    return f"{name}/{uid}" if uid and uid != name else name
