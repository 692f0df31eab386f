"""Epidemics in virtual time, without a network."""
