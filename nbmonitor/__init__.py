"""nbmonitor: the live training monitor that lives inside the notebook cell."""

from nbmonitor.monitor import TrainingMonitor
from nbmonitor.probe import Batch, Context, Panel, Probe, Series, Step
from nbmonitor.run import Run

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "Context",
    "Panel",
    "Probe",
    "Run",
    "Series",
    "Step",
    "TrainingMonitor",
    "__version__",
]
