"""The main job from end to end, on a real cluster with real calls: `python -m tests.demo`."""
