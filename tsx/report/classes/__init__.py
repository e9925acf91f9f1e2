"""How the explanation of a classifier is shown: its heading, its sections and its charts."""
