"""One whole training: data, features, network, novelty model, calibration, export, bundle."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from services.bundle.golden import Golden
from services.bundle.manifest import BundleManifest, Export, Novelty, Preprocessing
from services.bundle.manifest import Dataset as DatasetFacts
from services.bundle.writer import write_bundle
from services.common.digest import canonical_json, digest_bytes
from services.data.dataset import Dataset
from services.data.source import load_dataset
from services.data.store import ObjectStoreSettings
from services.data.trainable import check_trainable
from services.train import calibrate, export, networks, novelty, packing, targets
from services.train.curves import curves_svg
from services.train.families import check_kind, find_family
from services.train.features import Features, load_features, statistics
from services.train.fit import Fitted, Machine, Material, fit, infer
from services.train.hyperparameters import Hyperparameters, parse
from services.train.loading import Windows
from services.train.preprocessing import normalised, raw_preprocessing, resolve
from services.train.pretrained import load_pretrained
from services.train.records import Job
from services.train.scoring import by_item, probabilities, score
from services.train.settings import TrainSettings

if TYPE_CHECKING:
    from services.train.job import Reporter

_CHECKED_WINDOWS = 32
_BUNDLE_FILES = ("model.onnx", "novelty.onnx", "bundle.json", "golden.npz")


@dataclass(frozen=True)
class Made:
    """What a training leaves: artifacts by name, digests and the scores of the best epoch."""

    files: dict[str, Path | bytes]
    bundle_digest: str
    dataset_digest: str
    metrics: dict[str, float]
    epochs: int
    best_epoch: int


def train(job: Job, reporter: Reporter, settings: TrainSettings, folder: Path) -> Made:
    """Train the job; in a folder where it was begun before, go on from its checkpoint.

    Raises:
        RookeryError: the data, the hyperparameters or the machine do not allow it; the reason is in the message.
    """
    store = ObjectStoreSettings()
    dataset = load_dataset(
        job.request.data_source, store=store, roots=settings.roots, cache=settings.cache_dir
    )
    check_trainable(dataset)
    family = find_family(job.request.model_name)
    check_kind(family, dataset.kind, dataset.source)
    hyper = resolve(parse(job.request.hyperparameters), dataset)
    torch.set_num_threads(hyper.threads or family.threads(os.cpu_count() or 1))
    machine = Machine.choose(hyper)
    files = _describe(job, reporter, dataset, hyper, machine)

    raw = raw_preprocessing(hyper, dataset)
    features = load_features(
        dataset,
        raw,
        settings.cache_dir,
        limit_gib=settings.cache_gib,
        tell=lambda done, total: (
            reporter.progress("features", 0, hyper.epochs, {"items": done, "of": total})
            if done % 100 == 0
            else None
        ),
    )
    mean, std = statistics(features.training)
    material = _material(features, dataset, hyper, machine, mean, std)
    torch.manual_seed(hyper.seed)
    network = networks.build(
        family,
        channels=material.training.shape[0],
        classes=len(dataset.labels),
        size=material.training.shape[1:],
        hyper=hyper,
    )
    if hyper.pretrained:
        digest = load_pretrained(
            network,
            hyper.pretrained,
            roots=settings.roots,
            store=store,
            max_mib=settings.pretrained_max_mib,
        )
        reporter.patient.log(reporter.run_id, params={"pretrained_digest": digest})
    fitted = fit(
        network,
        material,
        hyper,
        machine,
        saved=folder / "checkpoint.pt",
        fingerprint=digest_bytes(canonical_json([dataset.digest, job.request.model_name, hyper.as_params()])),
        tell=lambda row: _tell(reporter, hyper, row),
    )
    reporter.history(fitted.history)
    reporter.progress("packing", len(fitted.history), hyper.epochs, {})
    manifest, models, golden = _pack(
        job, dataset, hyper, features, material, fitted, machine, normalised(raw, mean, std)
    )
    shutil.rmtree(folder / "bundle", ignore_errors=True)
    digest = write_bundle(folder / "bundle", manifest, models.model, models.novelty, golden)
    files |= {f"bundle/{name}": folder / "bundle" / name for name in _BUNDLE_FILES}
    title = f"{job.request.application}, {family.name}"
    files["training/history.json"] = json.dumps(fitted.history).encode()
    files["training/curves.svg"] = curves_svg(fitted.history, title).encode()
    files["training/skipped.json"] = json.dumps(features.skipped).encode()
    return Made(files, digest, dataset.digest, manifest.metrics, len(fitted.history), fitted.best_epoch)


def _describe(
    job: Job, reporter: Reporter, dataset: Dataset, hyper: Hyperparameters, machine: Machine
) -> dict[str, Path | bytes]:
    """Log what is trained on what, before the first epoch; returns the dataset's report as artifacts."""
    params = {
        **hyper.as_params(),
        "data_source": job.request.data_source,
        "model_name": job.request.model_name,
        "dataset_digest": dataset.digest,
        "device_used": machine.device.type,
        "precision_used": machine.precision,
    }
    reporter.patient.log(reporter.run_id, params=params)
    reporter.patient.log_dataset(reporter.run_id, dataset)
    return {
        "dataset.json": json.dumps(dataset.report()).encode(),
        "dataset.html": dataset.report_html().encode(),
    }


def _material(
    features: Features,
    dataset: Dataset,
    hyper: Hyperparameters,
    machine: Machine,
    mean: list[float],
    std: list[float],
) -> Material:
    training, validation = features.training, features.validation
    multi_label = dataset.task == "multi-label"
    wanted = targets.item_targets(training.items, dataset.labels, multi_label=multi_label)
    chosen = targets.training_windows(training, hyper, sound=dataset.kind == "audio")
    used = np.unique(training.item_of[chosen])
    weights = targets.class_weights(wanted[used], hyper.class_weights)
    if hyper.label_noise:
        wanted[used] = targets.shuffle_labels(wanted[used], hyper.label_noise, hyper.seed)
    return Material(
        training=Windows(training.windows, mean, std, machine.device),
        chosen=chosen,
        item_of=training.item_of,
        targets=wanted,
        validation=Windows(validation.windows, mean, std, machine.device),
        validation_item_of=validation.item_of,
        validation_targets=targets.item_targets(validation.items, dataset.labels, multi_label=multi_label),
        class_weights=weights,
        multi_label=multi_label,
        sound=dataset.kind == "audio",
    )


def _pack(
    job: Job,
    dataset: Dataset,
    hyper: Hyperparameters,
    features: Features,
    material: Material,
    fitted: Fitted,
    machine: Machine,
    preprocessing: Preprocessing,
) -> tuple[BundleManifest, packing.Models, Golden]:
    multi_label, item_of, wanted = (
        material.multi_label,
        material.validation_item_of,
        material.validation_targets,
    )
    logits = infer(fitted.network, material.validation, machine)
    temperature = calibrate.fit_temperature(logits, item_of, wanted, multi_label=multi_label)
    found = by_item(
        probabilities(logits, multi_label=multi_label, temperature=temperature), item_of, len(wanted)
    )
    autoencoder = novelty.fit_novelty(
        material.training, material.chosen, sound=material.sound, epochs=hyper.novelty_epochs, seed=hyper.seed
    )
    unlike = by_item(novelty.scores(autoencoder, material.validation), item_of, len(wanted))
    threshold = novelty.threshold(unlike, hyper.novelty_percentile)

    shape = material.training.shape
    models = packing.Models(
        model=export.to_onnx(fitted.network, shape, "logits"),
        novelty=export.to_onnx(autoencoder, shape, "score"),
        temperature=temperature,
        multi_label=multi_label,
    )
    checked = material.validation.first(_CHECKED_WINDOWS)
    difference = export.check_export(fitted.network, models.model, checked)
    export.check_export(autoencoder, models.novelty, checked)
    reported = {
        **score(found, wanted, multi_label=multi_label),
        "validation_loss": fitted.history[fitted.best_epoch - 1]["validation_loss"],
        "temperature": temperature,
        "export_difference": difference,
        "novelty_threshold": threshold,
        "best_epoch": float(fitted.best_epoch),
    }
    manifest = BundleManifest(
        schema_="rookery.bundle/1",
        application=job.request.application,
        model_name=job.request.model_name,
        task=dataset.task,
        labels=dataset.labels,
        preprocessing=preprocessing,
        temperature=temperature,
        threshold=packing.best_threshold(found, wanted) if multi_label else 0.5,
        novelty=Novelty(threshold=threshold, percentile=hyper.novelty_percentile, split="validation"),
        metrics=reported,
        dataset=DatasetFacts(
            source=dataset.source,
            digest=dataset.digest,
            class_counts=dataset.class_counts("training"),
            split_sizes=dataset.split_sizes(),
        ),
        run_id=job.run_id,
        code_revision=job.code_revision,
        export=Export(opset=export.OPSET, torch_version=str(torch.__version__), max_difference=difference),
        reference=packing.references(found, unlike, features.validation.features, threshold),
    )
    return manifest, models, packing.golden(features.validation.items, preprocessing, models)


def _tell(reporter: Reporter, hyper: Hyperparameters, row: Mapping[str, float]) -> None:
    metrics = {name: value for name, value in row.items() if name not in ("epoch", "time")}
    reporter.progress("training", int(row["epoch"]), hyper.epochs, metrics)
    reporter.epoch(row)
