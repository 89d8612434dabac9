"""What nbmonitor costs, measured beside what it is compared with. Run by `make bench`.

Every module has `measure() -> list[Figure]`. Times are CPU times of the thread in question
or ratios of runs side by side; on a shared machine a single wall-clock time means nothing.
"""
