"""Where work runs: devices, and the executor that all parallel work uses. Knows nothing of what runs on it."""
