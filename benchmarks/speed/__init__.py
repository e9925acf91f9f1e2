"""How fast `tsx` is beside a bare torch loop and other libraries, in one run. Run: python -m benchmarks.speed"""
