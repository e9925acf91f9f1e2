"""What the series are like: season, stationarity, outliers, drift, personal data. Nothing here loads torch."""
