"""What a number of users takes: pods, relays, blocking, bandwidth, money. Pure.

It stands beside the decisions and uses their own arithmetic, so that what is planned ahead is what
the operator will ask for.
"""
