"""Models on disk and in memory: fetch, check, load, adapt, merge."""
