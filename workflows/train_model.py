"""`train-model`: from data to a verified model in staging."""

from __future__ import annotations

from hera.workflows import Parameter, Step, Steps, WorkflowTemplate

from services.train.hyperparameters import AUTO, Hyperparameters
from workflows import deliver_release
from workflows.parameters import APPLICATION, EVAL_IP, MLFLOW_IP, REQUESTED_BY, TRAIN_IP
from workflows.steps import evaluation, releasing, training
from workflows.templating import (
    WORKFLOW_IDENTITY,
    LooseEnd,
    add_conclusion,
    output,
    reference,
    settling,
    step,
    telling,
    whole,
    workflow_template,
)

NAME = "train-model"


def parameters() -> list[Parameter]:
    """Every parameter of the template: the addresses, the model, and each hyperparameter, empty for its default."""
    return [
        APPLICATION,
        Parameter(
            name="model-name", value="", description="Family to train, such as cnn. Empty: the application's."
        ),
        Parameter(
            name="data-source",
            value="",
            description="digits, synthetic-birds, a folder, or s3://bucket/prefix. Empty: the application's.",
        ),
        TRAIN_IP,
        EVAL_IP,
        MLFLOW_IP,
        REQUESTED_BY,
        Parameter(
            name="force",
            value="false",
            enum=["false", "true"],
            description="Train even if the newest run has the same data, code, parameters and environment.",
        ),
        *hyperparameters(),
    ]


def hyperparameters() -> list[Parameter]:
    """One parameter for each hyperparameter that the train service knows."""
    found = []
    for name, field in Hyperparameters.model_fields.items():
        text = f"{field.description or ''}. Empty: {AUTO if field.default is None else field.default}."
        found.append(Parameter(name=name.replace("_", "-"), value="", description=text))
    return found


def train_model() -> WorkflowTemplate:
    """The WorkflowTemplate."""
    template = workflow_template(
        NAME,
        parameters(),
        description="Train, judge, register and pack a model, release it to staging and verify it there.",
        deadline_seconds=7 * 24 * 3600,
    )
    with template:
        start = step("start-training", training.start_training, deadline_seconds=300, git=True)
        wait = step(
            "wait-for-training", training.wait_for_training, deadline_seconds=6 * 24 * 3600, retries=20
        )
        evaluate = step(
            "evaluate", evaluation.evaluate, deadline_seconds=6 * 3600, retries=10, tokens=("notices",)
        )
        release = step(
            "release-to-staging", releasing.release_to_staging, deadline_seconds=1800, retries=5, git=True
        )
        with Steps(name="main"):
            Step(
                name="start",
                template=start,
                arguments={
                    **whole("application", "model-name", "data-source", "train-ip", "mlflow-ip", "force"),
                    "parameters": "{{workflow.parameters.json}}",
                    "workflow-uid": "{{workflow.uid}}",
                },
            )
            run_id = output("start", "run-id")
            Step(name="train", template=wait, arguments={"run-id": run_id, **whole("mlflow-ip")})
            Step(name="evaluate", template=evaluate, arguments={"run-id": run_id, **whole("eval-ip")})
            Step(
                name="release",
                template=release,
                arguments={
                    "model-version": output("evaluate", "new-model-version"),
                    **whole("application", "mlflow-ip", "requested-by"),
                    **WORKFLOW_IDENTITY,
                },
            )
            Step(
                name="deliver",
                template_ref=reference(deliver_release.NAME, deliver_release.STEP),
                arguments={
                    **whole("application", "mlflow-ip"),
                    "environment": "staging",
                    "commit": output("release", "commit"),
                    "on-failure": "withdraw",
                    **telling(NAME),
                },
            )
        stop = LooseEnd(
            "stop-training",
            step("stop-training", training.stop_training, deadline_seconds=300),
            {**whole("application", "train-ip", "mlflow-ip"), "workflow-uid": "{{workflow.uid}}"},
        )
        add_conclusion(NAME, stop, settling("staging", "withdraw"), success_is_told=True)
    return template
