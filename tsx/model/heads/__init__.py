"""The heads: what turns hidden states into outputs, and brings its loss."""
