"""Programs that run beside a stack's stores, where databases and buckets can be reached.

They are sent there as source (`stackctl.deployment`), on Docker into a one-shot container of
the tracking server's image, where stackctl is not installed. So nothing here imports the rest of
stackctl: the standard library, SQLAlchemy, MLflow, boto3 and database drivers are there. Secrets
come in the environment that the stack's own scripts make; input and output are bytes.
"""

# The last member of a stream of objects: what its reader should know of the others.
NOTES = ".notes.json"
