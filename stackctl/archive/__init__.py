"""A backup's archive: one plain tar file that proves itself whole.

    backup.json      what it is of, for whoever looks into it
    database/…       the backend store, in its own format
    artifacts/…      the artifacts, below the artifact root
    bucket/…         objects of the bucket that lie elsewhere
    bundle/…         the rendered files of the stack
    secrets.age      the secrets, where they were asked for, encrypted
    members.jsonl    name, size in bytes and SHA-256 of each member above
    manifest.json    versions, counts, settings
    trailer.json     where the two above begin, and the SHA-256 of all that is in no member above

The trailer has a fixed size and place, so that a file cut short is known at once. Every byte is
covered by a checksum. Nothing is compressed: models mostly are already.
"""

from stackctl.archive.reader import Archive, Member
from stackctl.archive.writer import Writer, writing

__all__ = ["Archive", "Member", "Writer", "writing"]
