"""The panel: all series in one array on one calendar; its assembly, gaps, duplicates, covariates and transforms."""
