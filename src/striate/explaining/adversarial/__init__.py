"""Adversarial examples: small changes of an image that change the answer, and fooling images made from nothing.

An attack is a function

    attack(model, spec, pixels, goal=Untargeted(), **settings) -> Adversarial

`pixels` (n h w c) are whole numbers, uint8 or uint16, on the input grid of the network: the output of preparation
before the scaling that `spec` (its `InputSpec`) describes. With a `ThroughPreparation` in place of `spec`, `pixels` is
a photo that is still to be prepared. `goal` is `Untargeted()` (away from the predicted class), `Untargeted(label)`
(away from the true class) or `Targeted(target)`. The model is borrowed and restored as found. Of a network for several
labels, `OneLabel(model, number)` is attacked, whose class 0 is that an image has the label.

    fgsm(…, epsilon=8)                                      one step of ε along the sign of the gradient
    pgd(…, epsilon=8, norm="linf", steps=40, seed=0)        many steps, kept within ε; norm="l2" as well
    lbfgs(…, searches=8, steps=25)                         the smallest change that it can find
    linear_closed_form(…)                                  x + αw, for a linear classifier

    accuracy_curve(model, spec, pixels, labels, attack="pgd", epsilons=(0, 1, 2, 4, 8, 16)) -> Curve

Fooling images, which show nothing and which a network classifies with confidence:

    fooling_images(model, spec, classes, steps=200, seed=0) -> FoolingImages
    evolve(model, spec, encoding="cppn", generations=100, seed=0) -> FoolingImages      one for every class

A result is written by `striate.data.images.encode.to_png(pixels, spec.channels, prepared_for=spec)`, which marks the
file as prepared. Whole images are attacked through their preparation by `ThroughPreparation(spec,
differentiable=partial(prepare_tensors, spec=spec), exact=partial(reread, spec=spec))`, with `prepare_tensors` of
`striate.data.preparation.tensors` and `reread` of `striate.data.preparation.arrays`, and written by `to_png`
without `prepared_for`.

All distances are in pixel units of 0 to 255, whatever the depth: `linf` is the largest change of any value, `l2` the
root of the sum of the squares of all changes. Each attack rounds to whole pixels, and `fooled` says whether the rounded
image fools. Not fooled is a result like any other.
"""

from striate.explaining.adversarial._evolution import ENCODINGS as ENCODINGS
from striate.explaining.adversarial._evolution import evolve as evolve
from striate.explaining.adversarial._gradient_sign import fgsm as fgsm
from striate.explaining.adversarial._gradient_sign import pgd as pgd
from striate.explaining.adversarial._lbfgs import lbfgs as lbfgs
from striate.explaining.adversarial._linear import linear_closed_form as linear_closed_form
from striate.explaining.adversarial._noise import fooling_images as fooling_images
from striate.explaining.adversarial.attack import ATTACKS as ATTACKS
from striate.explaining.adversarial.attack import AttackMethod as AttackMethod
from striate.explaining.adversarial.curve import Curve as Curve
from striate.explaining.adversarial.curve import accuracy_curve as accuracy_curve
from striate.explaining.adversarial.goal import Goal as Goal
from striate.explaining.adversarial.goal import OneLabel as OneLabel
from striate.explaining.adversarial.goal import Targeted as Targeted
from striate.explaining.adversarial.goal import Untargeted as Untargeted
from striate.explaining.adversarial.pixels import AttackError as AttackError
from striate.explaining.adversarial.pixels import ThroughPreparation as ThroughPreparation
from striate.explaining.adversarial.result import Adversarial as Adversarial
from striate.explaining.adversarial.result import Answers as Answers
from striate.explaining.adversarial.result import FoolingImages as FoolingImages
