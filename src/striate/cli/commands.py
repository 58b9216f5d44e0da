"""The commands by name: which verb, and how its result is shown."""

from __future__ import annotations

from striate.cli.command import command
from striate.cli.show.audit import show_audit
from striate.cli.show.explanations import show_explanations
from striate.cli.show.foolings import show_foolings
from striate.cli.show.inspection import show_inspection
from striate.cli.show.judgement import show_verdict
from striate.cli.show.models import show_models, show_summary
from striate.cli.show.predictions import show_predictions
from striate.cli.show.report import show_report
from striate.cli.show.training import show_training
from striate.verbs.audit import audit
from striate.verbs.evaluate import evaluate
from striate.verbs.explain import explain
from striate.verbs.fool import fool
from striate.verbs.inspect import inspect
from striate.verbs.list_models import list_models
from striate.verbs.predict import predict
from striate.verbs.report import report
from striate.verbs.resume import resume
from striate.verbs.summary import summary
from striate.verbs.train import train

COMMANDS = {
    "train": command(train, show_training),
    "resume": command(resume, show_training),
    "evaluate": command(evaluate, show_verdict),
    "predict": command(predict, show_predictions),
    "explain": command(explain, show_explanations),
    "inspect": command(inspect, show_inspection),
    "fool": command(fool, show_foolings),
    "report": command(report, show_report),
    "data": command(audit, show_audit),
    "models": command(list_models, show_models),
    "summary": command(summary, show_summary),
}
