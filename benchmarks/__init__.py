"""How fast it is, and against what: each program here measures its rivals in the same run, so that ratios mean something.

Never: a figure to be compared with one of another run, or a part of the product.
"""
