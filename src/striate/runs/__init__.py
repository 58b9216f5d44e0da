"""Runs: a recipe, data and a model put together, trained, evaluated, and kept in a folder.

In order of reading: `recipe` and `recipes` hold the settings, `plan` turns a user's choice into a plan, `prepare` the
named data into data ready to train on (`own_loaders` those of a user's own loaders), `start` makes the run, `train`
trains it, `conclude` writes its classifier with evaluations (`evaluate`), and `resume` continues or ends a stopped run
from its record (`origin`, `images`). `folder` is the run's folder, `events` the events of a run besides those of
the training loop; `fitting` and `effect` check and explain the settings.
"""
