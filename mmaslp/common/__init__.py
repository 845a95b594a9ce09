"""What all rooms share: bands, arguments, arrays, outputs, draws, processes.

It imports torch and numpy only, and no other room.
"""
