"""How a network is fooled: small changes that turn its answer, and pictures of nothing of which it is sure.

An attack is a function

    attack(model, spec, pixels, goal=Away(), **settings) -> Adversarial

`pixels` (n h w c) are whole numbers, uint8 or uint16, on the input grid of the network: what preparation gives, before
the scale, which `spec` (its `InputSpec`) describes. In place of `spec` stands a `ThroughPreparation`, where `pixels` is
a photo that is still to be prepared. `goal` is `Away()` (from the class that the network names), `Away(label)` (from
the true class) or `Towards(target)`. The model is borrowed and comes back as found.

    fgsm(…, epsilon=8)                                      one step of ε along the sign of the gradient
    pgd(…, epsilon=8, norm="linf", steps=40, seed=0)        many steps, kept within ε; norm="l2" as well
    lbfgs(…, searches=8, steps=25)                         the smallest change that it can find
    own_weights(…)                                          x + αw, for a linear classifier

    accuracy_curve(model, spec, pixels, labels, attack="pgd", epsilons=(0, 1, 2, 4, 8, 16)) -> Curve

Pictures of nothing of which a network is sure:

    ascend_from_noise(model, spec, classes, steps=200, seed=0) -> FoolingPictures
    evolve(model, spec, encoding="cppn", generations=100, seed=0) -> FoolingPictures      one for every class

A result becomes a file by `striate.data.images.encode.to_png(pixels, spec.channels, prepared_for=spec)`, which says
in the file that it is prepared. Whole images are attacked through their preparation by `ThroughPreparation(spec,
soft=partial(prepare_tensors, spec=spec), real=partial(reread, spec=spec))`, with `prepare_tensors` of
`striate.data.preparation.tensors` and `reread` of `striate.data.preparation.arrays`, and written by `to_png`
without `prepared_for`.

All distances are in pixel units of 0 to 255, whatever the depth: `linf` is the largest change of any value, `l2` the
root of the sum of the squares of all changes. Rounding to whole pixels is a part of each attack, and `fooled` says
whether the rounded picture fools. Not fooled is a result like any other.
"""

from striate.explaining.adversarial._fgsm import fgsm as fgsm
from striate.explaining.adversarial._from_noise import ascend_from_noise as ascend_from_noise
from striate.explaining.adversarial._lbfgs import lbfgs as lbfgs
from striate.explaining.adversarial._linear import own_weights as own_weights
from striate.explaining.adversarial._pgd import pgd as pgd
from striate.explaining.adversarial.attack import ATTACKS as ATTACKS
from striate.explaining.adversarial.attack import AttackMethod as AttackMethod
from striate.explaining.adversarial.curve import Curve as Curve
from striate.explaining.adversarial.curve import accuracy_curve as accuracy_curve
from striate.explaining.adversarial.evolution import ENCODINGS as ENCODINGS
from striate.explaining.adversarial.evolution import evolve as evolve
from striate.explaining.adversarial.goal import Away as Away
from striate.explaining.adversarial.goal import Goal as Goal
from striate.explaining.adversarial.goal import Towards as Towards
from striate.explaining.adversarial.pixels import AttackError as AttackError
from striate.explaining.adversarial.pixels import ThroughPreparation as ThroughPreparation
from striate.explaining.adversarial.result import Adversarial as Adversarial
from striate.explaining.adversarial.result import Answers as Answers
from striate.explaining.adversarial.result import FoolingPictures as FoolingPictures
