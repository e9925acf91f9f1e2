"""What the commands do: one module a verb, from a source to a result object. The terminal is not known here."""
