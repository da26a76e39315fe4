"""Paths and passwords that say something else to whoever does not quote them."""

HOSTILE = [
    "/home/ada/my stacks",
    "/srv/$HOME/${PATH}/${X:-y}/$$",
    '/srv/it\'s "quoted"',
    "/srv/#1 #2",
    "/srv/a: b/- c/{d}, [e]",
    "/srv/größe/東京/😀",
    "/srv/back\\slash\\n",
    "/srv/{{ 1 }}/{% x %}",
    "/srv/`id`;rm -rf|&>",
    "/srv/a\u2028b\x85c\x7fd",
    "/srv/%20?x=y&z",
    "/srv/!important *a &b <<",
]

PASSWORDS = {
    "admin_password": "ädmin p@s:s/%#?&'\"$w`id`\\n",
    "flask_secret_key": "flask-$key",
    "gateway_passphrase": "größe p@s:s/%#?&'\"$w`id`\\n",
    "mysql_password": "größe p@s:s/%#?&'\"$w",
    "mysql_root_password": "never read by a server",
    "postgres_password": "größe-東京 p@s:s/%#?&'\"$w%(x)s",
    "s3_access_key": "access-key",
    "s3_secret_key": "s3/secret+key=$HOME",
    # Of this one MLflow itself says how it looks.
    "webhook_key": "PBuM-_30Xy3zS0ZkqCYSNrDQhFGyVi1gbm5Hy0uJf3c=",
}
