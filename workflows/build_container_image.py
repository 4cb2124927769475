"""`build-container-image`: one accepted run becomes an image, the serving base plus one layer with the bundle."""

from __future__ import annotations

from hera.workflows import Parameter, Step, Steps, WorkflowTemplate
from hera.workflows.models import ValueFrom

from workflows.parameters import APPLICATION, MLFLOW_IP, MODEL_VERSION
from workflows.steps import packaging
from workflows.templating import add_conclusion, output, own, step, workflow_template

NAME = "build-container-image"
PARAMETERS = [APPLICATION, MODEL_VERSION, MLFLOW_IP]


def build_container_image() -> WorkflowTemplate:
    """The WorkflowTemplate; `main` has the output `image-digest`."""
    template = workflow_template(
        NAME,
        PARAMETERS,
        description="Pack a registered model version into a container image; the same version gives the same digest.",
        deadline_seconds=1800,
    )
    with template:
        build = step("build-image", packaging.build_image, deadline_seconds=1200)
        digest = Parameter(
            name="image-digest", value_from=ValueFrom(parameter=output("build", "image-digest"))
        )
        with Steps(name="main", inputs=[Parameter(name=item.name) for item in PARAMETERS], outputs=[digest]):
            Step(name="build", template=build, arguments=own("application", "model-version", "mlflow-ip"))
        add_conclusion(NAME)
    return template
