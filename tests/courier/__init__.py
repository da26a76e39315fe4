"""Tests of what runs beside a stack's stores."""

# Not `getrusage`: its peak is that of the process which started this one, where that was larger.
TELLING_ITS_PEAK = """
import re, sys
from pathlib import Path
from stackctl.courier.rows import main
main()
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(int(peak[1]) // 1024, file=sys.stderr)
"""
