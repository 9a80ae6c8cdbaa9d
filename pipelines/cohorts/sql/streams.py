"""stub"""

LISTS = frozenset({"group_id"})


def add_stream(statement, name, start, currency):
    raise NotImplementedError
