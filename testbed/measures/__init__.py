"""What metrics, claims and plots measure alike: spread, streams, what SRM's losses cost, notes."""
