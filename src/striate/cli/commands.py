"""The commands by name: which verb, and how its result is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from striate.cli.command import command
from striate.cli.show.attacks import show_attacks
from striate.cli.show.audit import show_audit
from striate.cli.show.console import print_path
from striate.cli.show.evaluation import show_verdict
from striate.cli.show.explanations import show_explanations
from striate.cli.show.models import show_models, show_summary
from striate.cli.show.neighbours import show_neighbours
from striate.cli.show.predictions import show_predictions
from striate.cli.show.training import show_training
from striate.verbs.audit import audit
from striate.verbs.evaluate import evaluate
from striate.verbs.explain import explain
from striate.verbs.finish import finish
from striate.verbs.fool import fool
from striate.verbs.inspect import inspect
from striate.verbs.list_models import list_models
from striate.verbs.nearest import nearest
from striate.verbs.predict import predict
from striate.verbs.report import report
from striate.verbs.resume import resume
from striate.verbs.summary import summary
from striate.verbs.train import train


def _show_path(work: Callable[..., Path]) -> None:
    """Print the path of what a verb has written, and nothing else, for people and programs alike."""
    print_path(work().resolve())


COMMANDS = {
    "train": command(
        train, show_training, example="striate train photos/ --model tiny_vgg --epochs 20 --set optimizer.lr=0.02"
    ),
    "resume": command(resume, show_training, example="striate resume runs/photos"),
    "finish": command(finish, show_training, example="striate finish runs/photos"),
    "evaluate": command(evaluate, show_verdict, example="striate evaluate runs/photos more-photos/", uses_run=True),
    "predict": command(predict, show_predictions, example="striate predict runs/photos holiday/*.jpg", uses_run=True),
    "explain": command(
        explain,
        show_explanations,
        example="striate explain runs/photos holiday/*.jpg --method occlusion",
        uses_run=True,
    ),
    "nearest": command(
        nearest, show_neighbours, example="striate nearest runs/photos holiday/*.jpg --count 5", uses_run=True
    ),
    "inspect": command(
        inspect, _show_path, example="striate inspect runs/photos --units 24 --time 2min", uses_run=True
    ),
    "fool": command(
        fool, show_attacks, example="striate fool runs/photos holiday/*.jpg --epsilon 4 --target coin", uses_run=True
    ),
    "report": command(report, _show_path, example="striate report runs/photos", uses_run=True),
    "data": command(audit, show_audit, example="striate data photos/"),
    "models": command(list_models, show_models, example="striate models --like resnet --parameters 30M --sort macs"),
    "summary": command(summary, show_summary, example="striate summary lenet5 --size 28x28"),
}
