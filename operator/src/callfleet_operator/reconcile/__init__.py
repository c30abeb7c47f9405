"""One level-triggered round for each kind: observe, plan, render, apply, report.

The same path serves creation, a change, a restart and the tick. What was is never looked at: every
round starts from what the API server, Prometheus and the pods say now.
"""
