"""From tables and samples to verdicts: estimates, tests, rules, and what a claim registers."""
