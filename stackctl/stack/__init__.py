"""What is kept of a stack on the disk: its folder, its manifest, its rendered files."""

from stackctl.stack.files import write_files
from stackctl.stack.folder import STATE_FOLDER, Home, Stack
from stackctl.stack.manifest import HALF_DONE, Manifest

__all__ = ["HALF_DONE", "STATE_FOLDER", "Home", "Manifest", "Stack", "write_files"]
