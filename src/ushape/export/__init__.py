"""A trained network as a file of another library, proved to compute the same, or refused."""
