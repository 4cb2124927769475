"""The parameters that several templates share, each described once."""

from __future__ import annotations

from hera.workflows import Parameter

APPLICATION = Parameter(
    name="application",
    value="digits",
    description="What is recognised: a folder of k8s/apps, such as digits.",
)
TRAIN_IP = Parameter(
    name="train-ip",
    value="",
    description="Train service: IP, host:port or URL (port 9090 if none is given). Empty: the platform's own.",
)
EVAL_IP = Parameter(
    name="eval-ip",
    value="",
    description="Evaluate service: IP, host:port or URL (port 8080 if none is given). Empty: the platform's own.",
)
MLFLOW_IP = Parameter(
    name="mlflow-ip",
    value="",
    description="MLflow: IP, host:port or URL (port 8000 if none is given). Empty: the platform's own.",
)
MODEL_VERSION = Parameter(name="model-version", description="Version in the registry, such as 3.")
REQUESTED_BY = Parameter(name="requested-by", value="", description="Who asked; written into the evidence.")
