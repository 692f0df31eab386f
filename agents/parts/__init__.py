"""What protocols are made of: state and rules without I/O, shared by several or too long for one.

A protocol may import anything here, beside `agents.api`, `agents.options` and `agents.wire`; parts
are held to the same rule as protocols.
"""
