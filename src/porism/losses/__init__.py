"""Losses as pure functions of tensors, one a file.

Shape suffixes, used throughout: ``B`` rows, ``T`` positions, ``V`` vocabulary, ``N`` positions that carry a loss.
"""
