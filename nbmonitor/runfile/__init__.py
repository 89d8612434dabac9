"""The run file: a Run on disk, written while training and readable by anyone at any time."""

from nbmonitor.runfile.paths import is_written, new_path
from nbmonitor.runfile.recorder import Recorder
from nbmonitor.runfile.schema import RunFileError

__all__ = ["Recorder", "RunFileError", "is_written", "new_path"]
