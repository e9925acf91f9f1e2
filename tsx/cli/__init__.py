"""The command line: one file per command, each a thin caller of the verb of the same name in `tsx.api`."""
