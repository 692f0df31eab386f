"""Networks as data: one topology a file, found by its name (`topologies.catalog`)."""
