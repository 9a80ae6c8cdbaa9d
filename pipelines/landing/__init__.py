"""Reading a batch: check it, type it, split personal data off, quarantine what is wrong, store the rest.

Nothing here folds versions or resolves references; that is the entities stage.
"""
