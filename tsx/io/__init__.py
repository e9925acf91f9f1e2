"""Bytes in and out: files, folders and standard input as columns; formats, compression; tables written whole."""
