import warnings

with warnings.catch_warnings():
    # The client warns at import that an optional package of gRPC, which it does not use here, is missing.
    warnings.simplefilter("ignore", ImportWarning)
    import google.api_core.exceptions  # noqa: F401
