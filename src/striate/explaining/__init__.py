"""Why a network decides, what its units want, how it is fooled: on any `nn.Module`.

An explanation is a function `(model, images, target, …)` that gives a typed result and returns the model as found.
"""

from striate.explaining._explains import NotFiniteError as NotFiniteError
from striate.explaining.activations import ActivationMaps as ActivationMaps
from striate.explaining.activations import activation_maps as activation_maps
from striate.explaining.attribution import Attribution as Attribution
from striate.explaining.cam import UnsuitedError as UnsuitedError
from striate.explaining.cam import cam as cam
from striate.explaining.cam import grad_cam as grad_cam
from striate.explaining.cam import grad_cam_plus_plus as grad_cam_plus_plus
from striate.explaining.cam import guided_grad_cam as guided_grad_cam
from striate.explaining.cam import hires_cam as hires_cam
from striate.explaining.cam import layer_cam as layer_cam
from striate.explaining.checks import Check as Check
from striate.explaining.expected import expected_gradients as expected_gradients
from striate.explaining.filters import FilterError as FilterError
from striate.explaining.filters import Filters as Filters
from striate.explaining.filters import filters as filters
from striate.explaining.gradient import NoGradientError as NoGradientError
from striate.explaining.gradient import input_x_gradient as input_x_gradient
from striate.explaining.gradient import saliency as saliency
from striate.explaining.guided import deconvnet as deconvnet
from striate.explaining.guided import guided_backpropagation as guided_backpropagation
from striate.explaining.integrated import integrated_gradients as integrated_gradients
from striate.explaining.invariance import Invariance as Invariance
from striate.explaining.invariance import invariance as invariance
from striate.explaining.layers import layers as layers
from striate.explaining.method import METHODS as METHODS
from striate.explaining.method import Method as Method
from striate.explaining.nearest import Nearest as Nearest
from striate.explaining.nearest import nearest_images as nearest_images
from striate.explaining.occlusion import occlusion as occlusion
from striate.explaining.occlusion_maps import OcclusionMaps as OcclusionMaps
from striate.explaining.occlusion_maps import occlusion_maps as occlusion_maps
from striate.explaining.patches import TopPatches as TopPatches
from striate.explaining.patches import top_patches as top_patches
from striate.explaining.pictures import NetworkError as NetworkError
from striate.explaining.places import NoMapError as NoMapError
from striate.explaining.projection import project_patches as project_patches
from striate.explaining.projection import project_units as project_units
from striate.explaining.receptive import ReceptiveField as ReceptiveField
from striate.explaining.receptive import receptive_fields as receptive_fields
from striate.explaining.rise import rise as rise
from striate.explaining.smooth import smoothgrad as smoothgrad
from striate.explaining.target import Target as Target
from striate.explaining.target import TargetError as TargetError
from striate.explaining.units import Units as Units
from striate.explaining.visualize import Visualization as Visualization
from striate.explaining.visualize import deep_dream as deep_dream
from striate.explaining.visualize import maximize as maximize
