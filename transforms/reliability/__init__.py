"""Reliability statistics of fleets (methods, sections 3 and 7): numbers in, numbers with limits out.

Every function takes plain arrays or counts, so that a fleet of 100,000 units is one call, and says
what it supposes. What stands in the lake is turned into such arrays elsewhere.
"""
