"""What is done to a stack: stores and a runtime, and the details of neither."""
