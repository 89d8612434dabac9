"""Reading a live model without disturbing its training."""
