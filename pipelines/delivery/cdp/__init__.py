"""Customer data platforms: cohort and signal events as Segment, RudderStack, mParticle and Tealium take them.

``track`` says what happened in words that all four share; a module each says how one of them wants it; ``batches`` cuts
and ``send`` posts. When something is sent, and what is remembered of it, is not here but in the outbox.
"""
