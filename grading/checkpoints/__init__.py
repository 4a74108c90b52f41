"""What students build, module by module: short tests for each, on their implementation or on the library."""
