"""One protocol a file; the file name is the name typed on the command line."""
