"""Larkmoor Tea: a small server-rendered shop, here so that there is a site to mutate.

Counterpart: `sidecar` stands in front of it as in front of anybody's site. The shop knows nothing of that: it imports
none of the other rooms, and no page of it is made easier than a real one would be.
"""
