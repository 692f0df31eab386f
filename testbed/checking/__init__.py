"""Holds a protocol to its promises without a network: `testbed check FILE`.

An adversary in memory drives the protocol objects through schedules of loss, delay, reordering,
duplication, late timers and crashes; then everything is calm. What happened is held against the
promises: no duplicate delivery, no creation, order and eventual delivery where they are promised.
"""
