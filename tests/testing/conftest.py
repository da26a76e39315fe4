"""The sample project has a pytest of its own."""

collect_ignore = ["sample_project"]
