"""The Parameters tab's measurements: what a model's weights look like while they change.

Reading, on the training thread::

    plan = Plan(model, tokenizer, Options())     # once; again when `plan.stale(model)`
    plan.absent                                  # {"tokens": reason, ...}; "model" = nothing at all
    plan.meta()                                  # the JSON of `parameters/meta`

    gradients = read_gradients(model, plan)           # in `on_gradients`, before they are cleared
    moment = read(model, plan, previous, gradients)   # in `on_step`; no sync, no copy to the host

`previous` is the moment read before this one, or None (at the start, and after a rewind): what
changed is told against it, and `read` takes its samples over. Whoever would drop a moment should
rather not read it, or the next one tells its change against one that nobody saw.

Off the training thread::

    reading = moment.host()     # waits for the device; arrays are the caller's own
    reading.tokens              # (n, d) float32 or None, rows of the sampled tokens
    reading.norms               # (n,) float32 or None, L2 norms of those rows
    reading.positions           # (m, d) float32 or None
    reading.heat                # {matrix id: (h, w) float32}, RMS (or largest |w|) of each block
    reading.stats               # (matrices, 10) float32, columns are `STATISTICS`, NaN = unknown
    reading.moved(earlier)      # (n,) float32, how far each token's row went since `earlier`

`moment.bytes` is what a moment keeps on the device until `host` was called. A moment holds no
reference to the model.
"""
