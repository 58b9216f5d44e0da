"""Does a map mean anything? The call that made it is made again with random weights, and pixels are taken away."""

from striate.explaining.checks.areas import Areas as Areas
from striate.explaining.checks.checking import check as check
from striate.explaining.checks.result import Beside as Beside
from striate.explaining.checks.result import Classes as Classes
from striate.explaining.checks.result import Deletions as Deletions
from striate.explaining.checks.result import Depth as Depth
from striate.explaining.checks.result import Noise as Noise
from striate.explaining.checks.verdict import Check as Check
from striate.explaining.checks.verdict import Row as Row
from striate.explaining.checks.verdict import Verdict as Verdict
