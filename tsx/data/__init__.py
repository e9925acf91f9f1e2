"""From a table to a panel: files, columns, calendar, reading, season, windows."""
