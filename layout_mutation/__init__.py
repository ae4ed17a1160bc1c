"""The command line `layout-mutation`: one module per command, dispatched by `__main__`.

It may use every other package; none of them uses it.
"""
