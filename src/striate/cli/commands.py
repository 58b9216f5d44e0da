"""The commands: each is the verb of its name, with the function that prints its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import striate


@dataclass(frozen=True)
class Command:
    """How a verb is used on the command line.

    `show` is the function of `striate.cli.show` that calls the verb and prints its result. `uses_run`: the verb uses
    the classifier of a run, its first argument, or of several.
    """

    show: str
    example: str
    uses_run: bool = False

    def function(self, name: str) -> Callable[..., None]:
        """Return the command `name` as a function, with the parameters of its verb and of `show`."""
        from striate.cli.command import command

        module, _, show = self.show.rpartition(".")
        printed = getattr(import_module(f"striate.cli.show.{module}"), show)
        return command(verb(name), printed, example=self.example, uses_run=self.uses_run)


COMMANDS = {
    "train": Command(
        "training.show_training", "striate train photos/ --model tiny_vgg --epochs 20 --set optimizer.lr=0.02"
    ),
    "find-lr": Command("learning_rate.show_learning_rate", "striate find-lr photos/ --model tiny_vgg"),
    "resume": Command("training.show_training", "striate resume runs/photos"),
    "finish": Command("training.show_training", "striate finish runs/photos"),
    "evaluate": Command("evaluation.show_verdict", "striate evaluate runs/photos more-photos/", uses_run=True),
    "predict": Command("predictions.show_predictions", "striate predict runs/photos holiday/*.jpg", uses_run=True),
    "explain": Command(
        "explanations.show_explanations", "striate explain runs/photos holiday/*.jpg --method occlusion", uses_run=True
    ),
    "retrieve": Command(
        "neighbours.show_neighbours", "striate retrieve runs/photos holiday/*.jpg --count 5", uses_run=True
    ),
    "features": Command(
        "features.show_features", "striate features runs/photos photos/ --at stage3 --out photos.parquet", uses_run=True
    ),
    "concepts": Command(
        "concepts.show_concepts", "striate concepts runs/animals striped/ dotted/ --target zebra", uses_run=True
    ),
    "clusters": Command("clusters.show_clusters", "striate clusters runs/photos --target horse", uses_run=True),
    "inspect": Command("results.show_path", "striate inspect runs/photos --units 24 --time 2min", uses_run=True),
    "fool": Command(
        "attacks.show_attacks", "striate fool runs/photos holiday/*.jpg --epsilon 4 --target coin", uses_run=True
    ),
    "export": Command("exporting.show_export", "striate export runs/photos --out photos-classifier", uses_run=True),
    "serve": Command("serving.show_server", "striate serve runs/photos --port 8000", uses_run=True),
    "compress": Command("compression.show_compression", "striate compress runs/photos --keep 0.1", uses_run=True),
    "report": Command("results.show_path", "striate report runs/photos", uses_run=True),
    "compare": Command("comparison.show_comparison", "striate compare runs/photos runs/photos-2 --out comparison.html"),
    "events": Command("results.show_path", "striate events runs/photos --to tensorboard"),
    "diagnose": Command("diagnosis.show_diagnosis", "striate diagnose runs/photos --rules"),
    "audit": Command("audit.show_audit", "striate audit photos/"),
    "list-models": Command("models.show_models", "striate list-models --like resnet --parameters 30M --sort macs"),
    "recipes": Command("recipes.show_recipes", "striate recipes --diff mnist keras_cifar10"),
    "summary": Command("models.show_summary", "striate summary lenet5 --size 28x28"),
}

FORMER = {"data": "audit", "models": "list-models", "nearest": "retrieve"}
"""Commands under their former names."""


def verb(name: str) -> Callable[..., object]:
    """Return the verb of a command: `list-models` is `striate.list_models`."""
    return getattr(striate, name.replace("-", "_"))
