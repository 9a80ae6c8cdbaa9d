"""stub"""


def members(ctx, cohort):
    raise NotImplementedError
