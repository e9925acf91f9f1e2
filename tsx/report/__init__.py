"""How results look: on a terminal, as tables, as Markdown, as one HTML file. Only summaries are computed here."""
