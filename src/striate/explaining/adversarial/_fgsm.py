"""The fast gradient sign method."""

from __future__ import annotations

from striate.explaining.adversarial.attack import Attempt, attacks
from striate.explaining.adversarial.attacked import Levels, Subject
from striate.explaining.adversarial.goal import Chase
from striate.explaining.adversarial.norms import NORMS


@attacks(title="FGSM", paper="Goodfellow et al. 2014, section 4")
def fgsm(subject: Subject, pixels: Levels, chase: Chase, *, epsilon: int | float = 8) -> Attempt:
    """Every value of the picture moves by ε, to the side on which the loss rises: x + ε · sign(∂J/∂x).

    J is the cross-entropy of the class to leave; towards a target, it falls (Kurakin et al. 2017, section 2.3). The
    result is clipped to the range of pixels. A value of which the gradient is zero stays.

    `epsilon`: a whole number of pixel units of 0–255.
    """
    radius = NORMS["linf"].radius(epsilon, subject.spec)
    gradient, _ = subject.ascent(pixels, chase)
    return Attempt(subject.boxed(pixels + radius * gradient.sign()))
