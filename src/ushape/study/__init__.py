"""What one part of a network is good for: variants trained alike, then looked into; every analysis a pure function."""
