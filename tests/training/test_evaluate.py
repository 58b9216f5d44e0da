"""An evaluation answers for every sample, in order, and leaves the network as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rehearsal.small import MadeBatches, make_model, weights
from striate.core.device import ExecutionPlan
from striate.core.errors import DataError
from striate.tasks import CLASSIFICATION
from striate.training import evaluate


def test_rows_are_those_of_each_batch_alone_and_the_network_is_as_it_was() -> None:
    model = make_model().train()
    model[1].eval()  # a frozen normalization
    before, random = weights(model), torch.get_rng_state()
    outputs = evaluate(model, CLASSIFICATION, MadeBatches(3), ExecutionPlan())
    assert [module.training for module in model] == [True, False, True, True, True, True]
    assert torch.equal(weights(model), before)
    assert torch.equal(torch.get_rng_state(), random)
    assert outputs.index.tolist() == list(range(12))
    model.eval()
    for place, batch in enumerate(MadeBatches(3).epoch(0)):
        with torch.no_grad():
            expected = model(batch.images).numpy()
        np.testing.assert_array_equal(outputs.values[4 * place : 4 * place + 4], expected)
        np.testing.assert_array_equal(outputs.targets[4 * place : 4 * place + 4], batch.targets.numpy())


def test_scores_are_of_all_rows_together() -> None:
    outputs = evaluate(make_model(), CLASSIFICATION, MadeBatches(3), ExecutionPlan())
    scores = outputs.scores()
    assert list(scores) == ["loss", "accuracy"]
    assert scores["accuracy"] == (outputs.values.argmax(axis=1) == outputs.targets).mean()
    rows = torch.nn.functional.cross_entropy(torch.tensor(outputs.values), torch.tensor(outputs.targets))
    assert scores["loss"] == pytest.approx(rows.item(), rel=1e-5)


def test_reduced_precision_gives_float32_rows() -> None:
    outputs = evaluate(make_model(), CLASSIFICATION, MadeBatches(1), ExecutionPlan(precision="bf16"))
    assert outputs.values.dtype == np.float32
    np.testing.assert_allclose(
        outputs.values, evaluate(make_model(), CLASSIFICATION, MadeBatches(1), ExecutionPlan()).values, atol=0.05
    )


def test_nothing_to_evaluate_is_a_sentence() -> None:
    with pytest.raises(DataError, match="the split has no image"):
        evaluate(make_model(), CLASSIFICATION, MadeBatches(0), ExecutionPlan())
