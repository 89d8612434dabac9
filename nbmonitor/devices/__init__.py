"""Reading the machine: one module per source, each the only importer of its library."""
