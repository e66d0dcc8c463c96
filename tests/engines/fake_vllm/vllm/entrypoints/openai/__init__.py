"""Stands in for vLLM in tests; see api_server."""
