#!/bin/sh
# The interface of upstream's entrypoint: root gives /data to `seaweed` and becomes that user;
# some sub-commands get arguments in front.
set -eu

if [ "$(id -u)" = 0 ]; then
  if [ "$(stat -c %u:%g /data)" != "$(id -u seaweed):$(id -g seaweed)" ]; then
    chown -R seaweed:seaweed /data || echo "Warning: /data stays with its owner" >&2
  fi
  exec su-exec seaweed "$0" "$@"
fi

command=${1:-}
[ $# -eq 0 ] || shift
log=-logtostderr=true
# Unquoted, as upstream has it: an argument with a blank is two arguments there, too.
# shellcheck disable=SC2068
case $command in
  master)
    exec weed $log master -mdir=/data -volumePreallocate -volumeSizeLimitMB=1024 $@ ;;
  volume)
    case " $* " in *" -max="* | *" -max "*) ;; *) set -- -max=0 $@ ;; esac
    exec weed $log volume -dir=/data $@ ;;
  server)
    case " $* " in *" -volume.max="* | *" -volume.max "*) ;; *) set -- -volume.max=0 $@ ;; esac
    exec weed $log server -dir=/data -master.volumePreallocate \
      -master.volumeSizeLimitMB=1024 $@ ;;
  filer)
    exec weed $log filer $@ ;;
  s3)
    exec weed $log s3 "-domainName=${S3_DOMAIN_NAME:-}" "-key.file=${S3_KEY_FILE:-}" \
      "-cert.file=${S3_CERT_FILE:-}" $@ ;;
  *)
    exec weed ${command:+"$command"} $@ ;;
esac
