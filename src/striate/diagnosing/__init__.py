"""Diagnose a training: rules that read its curves, and the health of the layers of any `nn.Module`.

`layer_health` measures the layers of a network on a batch, `read_history` and `last_clock` read the curves of a
training and how far it came, and `judge` names its faults by rules whose thresholds are in
`striate.diagnosing.thresholds`.
"""

from striate.diagnosing.curves import at_high_rate as at_high_rate
from striate.diagnosing.curves import overfitting as overfitting
from striate.diagnosing.curves import steady_rise as steady_rise
from striate.diagnosing.diagnosis import Judgement as Judgement
from striate.diagnosing.diagnosis import judge as judge
from striate.diagnosing.diagnosis import judge_layers as judge_layers
from striate.diagnosing.history import History as History
from striate.diagnosing.history import Point as Point
from striate.diagnosing.history import last_clock as last_clock
from striate.diagnosing.history import read_history as read_history
from striate.diagnosing.layers import LayerHealth as LayerHealth
from striate.diagnosing.layers import Measurement as Measurement
from striate.diagnosing.measure import layer_health as layer_health
from striate.diagnosing.measure import weighted as weighted
from striate.diagnosing.verdict import Verdict as Verdict
