"""What a courier can be told to do."""

from collections.abc import Callable
from typing import Any, BinaryIO

# Takes the job, what follows it, and where the answer's bytes go; what it returns is told as JSON.
Verb = Callable[[dict[str, Any], BinaryIO, BinaryIO], object]
