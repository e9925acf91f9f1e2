"""Do explanations find the causes that are known to be there? Run: python -m benchmarks.ground_truth --help"""
