"""What runs on a host: protocols, and the driver that gives them a socket and a clock.

Standard library only, and no import of the sibling packages, so that the folder can be copied to
any machine that has Python 3.11.
"""
