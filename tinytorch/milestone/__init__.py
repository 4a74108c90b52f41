"""The frame that all milestone scripts share: flags, report, result, exit codes.

A script says what it is in a `Milestone` and ends with `sys.exit(main(MILESTONE))`; its training loop is its
own.
"""

from tinytorch.milestone.frame import main
from tinytorch.milestone.milestone import Data, Milestone
from tinytorch.milestone.result import Result
from tinytorch.milestone.run import Epoch, Run

__all__ = ["Data", "Epoch", "Milestone", "Result", "Run", "main"]
