"""Which devices the environment lets this process see; strings in, numbers and names out."""

from __future__ import annotations


def visible(count: int, setting: str | None) -> list[int | str]:
    """Apply a `*_VISIBLE_DEVICES` setting.

    Parameters
    ----------
    count
        Devices in the machine.
    setting
        The variable's value; None when it is not set.

    Returns
    -------
    list
        Device numbers, and identifiers (`GPU-…`, `MIG-…`) as they are, in the order in which
        the process numbers them. As in CUDA, the list ends before the first invalid entry.
    """
    if setting is None:
        return list(range(count))
    out: list[int | str] = []
    for entry in (part.strip() for part in setting.split(",")):
        if entry.startswith(("GPU-", "MIG-")):
            out.append(entry)
        elif entry.isdecimal() and int(entry) < count:
            out.append(int(entry))
        else:
            break
    return out
