"""Every threshold of the diagnosis, with its reason.

They were chosen on the runs of `benchmarks/health.py`, which counts hits and false alarms on other seeds, and hold for
networks of the usual kind. CS231n is the course of A. Karpathy et al., https://cs231n.github.io/neural-networks-3/.
"""

RISE = 0.1
"""Rise of the validation loss above its lowest value, relative to it, from which a run over-fits.

Medians of a fifth of the evaluations, which are compared, vary by less where the loss has only levelled.
"""

GAP = 0.05
"""Difference of training and validation accuracy, as the lower end of its 95 % interval, from which a run over-fits.

CS231n reads the gap between the two accuracies; 5 points are more than the optimism of a chosen epoch.
"""

UNFIT = 0.5
"""Loss at the end, as a share of that of a constant answer (ln k), above which a run under-fits.

At half of it a classifier gives the right class a probability of 1/√k: 71 % of 2 classes, 32 % of 10.
"""

NOTHING = 0.9
"""Loss, as a share of that of a constant answer, above which nothing was learned but the frequency of the classes."""

ROSE = 2.0
"""Loss relative to that of the first steps, or to its own lowest level, from which it has risen.

The mean loss of a tenth of a training hardly varies by more than a half at a usable rate.
"""

LARGE_UPDATE = 0.03
"""Ratio of update to weights above which the learning rate is too high where nothing is learned.

CS231n: about 0.001. In trainings that went well up to 0.02 occurred, at the highest rate of one cycle.
"""

SMALL_UPDATE = 3e-4
"""Ratio of update to weights below which the learning rate is too low where the loss is still high.

A third of CS231n's 0.001. In trainings that went well 0.002 was the lowest, at a thousandth of their rate 0.0001.
"""

STEADY = 0.5
"""Fall of the loss in the last third of a training, relative to the second, from which it falls steadily.

CS231n draws a low rate as a line and a good one as a curve that levels: 1 is a line.
"""

EARLY = 0.3
"""Share of a training before which a slow start, as in a warm-up, is no fault."""

DEAD = 0.5
"""Share of the units of a layer that pass no gradient from which it is dead.

CS231n names 40 % as what a high learning rate can do; in trainings that went well up to 30 % had no image among 32.
"""

SATURATED = 0.5
"""Share of outputs at the flat ends of a bounded function, in half of the layers that have one.

A first layer of tanh had 70 % in a training that went well, the others 10 %; after large initial weights all have 80 %.
"""

STUCK = 0.9
"""Share of saturated outputs from which a single layer is a fault."""

VANISHING = 1e-3
"""Gradient at the first layer relative to the last, below which early layers hardly learn.

Networks of the zoo have 0.03 (VGG without batch norm) to 4 at the start; eight layers of sigmoid have 0.00003.
"""

EXPLODING = 1e3
"""Gradient at the first layer relative to the last, above which a rate that suits the last layer breaks the first."""

FLAT = 0.05
"""Slope of an activation function relative to its steepest, below which an output counts as saturated."""
