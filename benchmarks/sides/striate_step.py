"""A network's step by the plan that Striate chooses, on one batch: python -m sides.striate_step MODEL BATCH SIDE STEPS

Gradient and update by SGD, without loading or augmentation. Says "ready" after the first step, then answers every line
that it is sent with the seconds of so many steps.
"""

from __future__ import annotations

import sys

import torch

from striate.core.allocator import tune_process
from striate.models import create_model
from striate.tasks import CLASSIFICATION
from striate.training.autotune import choose_plan
from striate.training.backward import backward

from .standing import stand

CLASSES = 10


def main(name: str, batch_size: int, side: int, count: int) -> None:
    tune_process()
    shape = (batch_size, 3, side, side)
    model = create_model(name, classes=CLASSES, channels=3, size=(side, side), seed=0).train()
    plan = choose_plan(model, shape)
    model = plan.adopt(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    batch = CLASSIFICATION.example(shape, torch.Size([CLASSES]), torch.Generator().manual_seed(0))

    def step() -> float:
        optimizer.zero_grad()
        with plan.in_effect():
            loss = backward(model, CLASSIFICATION, batch, plan)
        optimizer.step()
        return loss.item()

    losses = [step()]
    parameters = sum(each.numel() for each in model.parameters())
    told = {"images": count * batch_size, "losses": losses, "parameters": parameters, "execution": plan.sentence()}
    stand(lambda: losses.extend(step() for _ in range(count)), lambda: told)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
