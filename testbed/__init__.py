"""The harness: builds networks, runs agents on them, counts, and judges."""
