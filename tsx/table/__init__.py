"""From columns as they came to one typed row a series and time: types, times, zones, wide to long, roles, checks."""
