"""The files of a bundle on the disk: read, written, brought back."""

from collections.abc import Mapping

from stackctl.stack.files import write_files
from stackctl.stack.folder import Stack


def bundle_files(stack: Stack) -> dict[str, str]:
    """The files of the bundle that was deployed last."""
    folder = stack.bundle
    if not folder.is_dir():
        return {}
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.parent.name != "__pycache__"
        and not path.relative_to(folder).parts[0].startswith(".new-")
    }


def with_modes(files: Mapping[str, str]) -> dict[str, tuple[str, int]]:
    """Files as `write_files` takes them, with the modes that a bundle gives them."""
    return {
        name: (text, 0o755 if name.startswith("entrypoints/") else 0o644)
        for name, text in files.items()
    }


def write_bundle(stack: Stack, wanted: Mapping[str, tuple[str, int]]) -> None:
    """Have the stack's bundle consist of these files."""
    there = bundle_files(stack)
    write_files(
        stack.bundle, {name: file for name, file in wanted.items() if there.get(name) != file[0]}
    )
    for name in set(there) - set(wanted):
        (stack.bundle / name).unlink()
