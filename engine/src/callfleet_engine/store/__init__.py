"""What engine pods remember together: who is alive, who owns which call, who took part, how it was.

`interface` is what the rest of the engine programs against.
"""
