"""Documentation that is generated: from the schema, the API's table of routes, the settings and the migrations.

Counterpart: `layout_mutation/docs.py` writes the files or checks that they are fresh.
Never: a fact that is written in the code as well.
"""
