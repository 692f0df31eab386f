"""Engines of synchronous rounds that keep the state of every node."""
