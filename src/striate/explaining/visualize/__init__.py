"""Feature visualization: images made by gradient ascent that excite a unit, a channel or a class.

    maximize(model, channel("stage3", 12) - 0.1 * diversity("stage3"), spec, count=4)

Four choices are independent of each other: what is excited (`Objective`), how the image is parameterized (`Fourier`,
`BlurredPixels`, `Pixels`), how it is transformed before the network (`Robustness`), and the loop.
"""

from striate.explaining.visualize._maximize import maximize as maximize
from striate.explaining.visualize.dream import deep_dream as deep_dream
from striate.explaining.visualize.fourier import Fourier as Fourier
from striate.explaining.visualize.model_view import ObjectiveError as ObjectiveError
from striate.explaining.visualize.objective import Objective as Objective
from striate.explaining.visualize.objective import channel as channel
from striate.explaining.visualize.objective import class_logit as class_logit
from striate.explaining.visualize.objective import direction as direction
from striate.explaining.visualize.objective import layer as layer
from striate.explaining.visualize.objective import unit as unit
from striate.explaining.visualize.pixels import BlurredPixels as BlurredPixels
from striate.explaining.visualize.pixels import Pixels as Pixels
from striate.explaining.visualize.similarity import content as content
from striate.explaining.visualize.similarity import diversity as diversity
from striate.explaining.visualize.similarity import grams_of as grams_of
from striate.explaining.visualize.similarity import maps_of as maps_of
from striate.explaining.visualize.similarity import style as style
from striate.explaining.visualize.transfer import transfer_style as transfer_style
from striate.explaining.visualize.transform import Robustness as Robustness
from striate.explaining.visualize.visualization import Visualization as Visualization
