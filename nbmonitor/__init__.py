"""nbmonitor: the live training monitor that lives inside the notebook cell."""

from nbmonitor.beside import side_by_side
from nbmonitor.monitor import TrainingMonitor
from nbmonitor.probe import Batch, Context, Panel, Probe, Series, Step
from nbmonitor.rule import Rule
from nbmonitor.run import Run
from nbmonitor.runfile.listing import list_runs
from nbmonitor.viewer import open_run

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "Context",
    "Panel",
    "Probe",
    "Rule",
    "Run",
    "Series",
    "Step",
    "TrainingMonitor",
    "__version__",
    "list_runs",
    "open_run",
    "side_by_side",
]
