"""Bring tensors that a moment kept to the host, on whatever thread has the time.

On an accelerator the copies run on a stream of their own behind the event that the training
thread recorded: they wait for what was measured, and not for the steps that came after it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray


def mark(device: Any) -> Any:
    """Record that everything asked of a device so far belongs to a moment; None on a CPU."""
    if device.type != "cuda":
        return None
    torch = sys.modules["torch"]
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(device))
    return event


def to_host(tensors: Sequence[Any], events: Sequence[Any]) -> list[NDArray[Any]]:
    """Copy tensors to the host, waiting for them.

    Parameters
    ----------
    tensors
        Of one device or several; not changed by anybody any more.
    events
        As `mark` gave them, for each of the devices.

    Returns
    -------
    list
        An array each; float32 or float16 (bfloat16, which numpy lacks, becomes float32).
    """
    for event in events:
        if event is not None:
            event.synchronize()
    return [_array(tensor) for tensor in tensors]


def _array(tensor: Any) -> NDArray[Any]:
    torch = sys.modules["torch"]
    if tensor.device.type == "cuda":
        with torch.cuda.stream(torch.cuda.Stream(tensor.device)):
            here = tensor.to("cpu")
    else:
        # Without streams there is no telling when it is done: this waits for all of it.
        here = tensor.cpu()
    if here.dtype not in {torch.float32, torch.float16}:
        here = here.float()
    out: NDArray[Any] = here.detach().numpy()
    return out
