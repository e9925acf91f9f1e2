"""The shipped tables, importable as `tsx.sample_data` however tsx is installed."""
