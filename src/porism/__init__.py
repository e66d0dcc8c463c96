"""Porism: make a language model a better reasoner, and prove that it is.

``porism.records`` is the file to read first; ``porism.pipeline`` shows how the stages hang together.
"""

__version__ = "0.1.0"
