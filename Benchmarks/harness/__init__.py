"""What Benchmarks/run is made of: processes, scenarios, and the report."""
