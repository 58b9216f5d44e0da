"""Check a map: repeat the call that made it with random weights, and remove the pixels that it marks."""

from striate.explaining.checks.areas import Areas as Areas
from striate.explaining.checks.checking import check as check
from striate.explaining.checks.result import Deletions as Deletions
from striate.explaining.checks.result import Depth as Depth
from striate.explaining.checks.result import RandomisationTest as RandomisationTest
from striate.explaining.checks.result import WithChance as WithChance
from striate.explaining.checks.verdict import Check as Check
from striate.explaining.checks.verdict import Row as Row
from striate.explaining.checks.verdict import Verdict as Verdict
