"""Where stacks that were deployed before December 2026 look for it, until their next deploy."""

import runpy

if __name__ == "__main__":
    runpy.run_module("stackctl.runtimes.embedded.seaweedfs_security", run_name="__main__")
