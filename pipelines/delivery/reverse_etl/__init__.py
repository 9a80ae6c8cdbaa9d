"""Reverse ETL: rows of a model kept equal in somebody else's table.

``definition`` is the tenant's file, ``model`` the rows it asks for, ``diff`` what differs from what the destination
acknowledged, ``acked`` where that is remembered. How rows reach a destination is not decided here.
"""
