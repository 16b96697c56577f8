"""The runtime: threads, devices, memory and memory layout. No other package deals with these."""
