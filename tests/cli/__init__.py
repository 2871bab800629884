"""A package, so that its files may be called after the commands and not clash with those of other folders."""
