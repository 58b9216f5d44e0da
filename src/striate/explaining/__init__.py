"""Explain any `nn.Module`: why it decides, what its units respond to, and how it is fooled.

An explanation is a function `(model, images, target, …)` that returns a typed result and leaves the model as found.
"""

from striate.explaining.attribution._method import NotFiniteError as NotFiniteError
from striate.explaining.attribution.attribution import METHODS as METHODS
from striate.explaining.attribution.attribution import Attribution as Attribution
from striate.explaining.attribution.attribution import Method as Method
from striate.explaining.attribution.cam import UnsupportedModelError as UnsupportedModelError
from striate.explaining.attribution.cam import cam as cam
from striate.explaining.attribution.cam import grad_cam as grad_cam
from striate.explaining.attribution.cam import grad_cam_plus_plus as grad_cam_plus_plus
from striate.explaining.attribution.cam import guided_grad_cam as guided_grad_cam
from striate.explaining.attribution.cam import hires_cam as hires_cam
from striate.explaining.attribution.cam import layer_cam as layer_cam
from striate.explaining.attribution.expected import expected_gradients as expected_gradients
from striate.explaining.attribution.gradient import NoGradientError as NoGradientError
from striate.explaining.attribution.gradient import input_x_gradient as input_x_gradient
from striate.explaining.attribution.gradient import saliency as saliency
from striate.explaining.attribution.guided import deconvnet as deconvnet
from striate.explaining.attribution.guided import guided_backpropagation as guided_backpropagation
from striate.explaining.attribution.integrated import integrated_gradients as integrated_gradients
from striate.explaining.attribution.rise import rise as rise
from striate.explaining.attribution.smooth import smoothgrad as smoothgrad
from striate.explaining.checks import Check as Check
from striate.explaining.inspection.activations import ActivationMaps as ActivationMaps
from striate.explaining.inspection.activations import activation_maps as activation_maps
from striate.explaining.inspection.filters import FilterError as FilterError
from striate.explaining.inspection.filters import Filters as Filters
from striate.explaining.inspection.filters import filters as filters
from striate.explaining.inspection.invariance import Invariance as Invariance
from striate.explaining.inspection.invariance import invariance as invariance
from striate.explaining.inspection.layers import layers as layers
from striate.explaining.inspection.nearest import Nearest as Nearest
from striate.explaining.inspection.nearest import nearest_images as nearest_images
from striate.explaining.inspection.patches import TopPatches as TopPatches
from striate.explaining.inspection.patches import top_patches as top_patches
from striate.explaining.inspection.projection import project_patches as project_patches
from striate.explaining.inspection.projection import project_units as project_units
from striate.explaining.inspection.receptive import PlaceFields as PlaceFields
from striate.explaining.inspection.receptive import receptive_fields as receptive_fields
from striate.explaining.inspection.units import Units as Units
from striate.explaining.model_input import NetworkError as NetworkError
from striate.explaining.occluding.occlusion import occlusion as occlusion
from striate.explaining.occluding.occlusion_maps import OcclusionMaps as OcclusionMaps
from striate.explaining.occluding.occlusion_maps import occlusion_maps as occlusion_maps
from striate.explaining.places import NoMapError as NoMapError
from striate.explaining.target import Target as Target
from striate.explaining.target import TargetError as TargetError
from striate.explaining.visualize import Visualization as Visualization
from striate.explaining.visualize import deep_dream as deep_dream
from striate.explaining.visualize import maximize as maximize
