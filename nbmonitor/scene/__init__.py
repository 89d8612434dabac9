"""The 3D scene of the Parameters tab: real pythreejs objects, which the page fills with data."""
