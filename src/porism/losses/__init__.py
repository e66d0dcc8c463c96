"""Losses as pure functions of tensors, one a file; those of preference pairs are in ``preferences``.

Shape suffixes, used throughout: ``B`` rows, ``T`` positions, ``V`` vocabulary, ``N`` positions that carry a loss,
``H`` hidden size. A function without a word on it returns one number a row or a position, which the caller adds up and
divides by the count of the whole optimiser step, so that accumulated gradients are those of one large batch.
"""
