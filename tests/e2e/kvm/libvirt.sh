#!/usr/bin/env bash
# Start libvirt where no systemd does: libvirt.sh start FOLDER; libvirt.sh stop FOLDER. Prints nothing when all is well.
# A libvirt that answers already is used as it is, and not stopped.
set -euo pipefail
action=${1:?usage: libvirt.sh start|stop FOLDER}
folder=${2:?usage: libvirt.sh start|stop FOLDER}

answers() { timeout 20 virsh --connect qemu:///system version >/dev/null 2>&1; }

stop_one() {
  local file=$folder/$1.pid pid
  pid=$(cat "$file" 2>/dev/null) || return 0
  if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ]; then
    kill "$pid"
    for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null || true
  fi
  rm -f "$file"
}

case $action in
stop)
  stop_one libvirtd
  stop_one virtlogd
  ;;
start)
  answers && exit 0
  [ "$(id -u)" -eq 0 ] || { echo "libvirt does not answer, and only root can start it" >&2; exit 1; }
  mkdir -p "$folder"
  folder=$(cd "$folder" && pwd)
  echo 'auth_unix_rw = "none"' >"$folder/libvirtd.conf"
  : >"$folder/virtlogd.conf"
  # The guests' files lie where only we may look; there is no cgroup to manage and no /dev to hide.
  cat >"$folder/qemu.conf" <<'CONF'
user = "root"
group = "root"
namespaces = []
cgroup_controllers = []
security_driver = "none"
CONF
  install -m 000 /dev/null "$folder/no-kvm"
  virtlogd --daemon --config "$folder/virtlogd.conf" --pid-file "$folder/virtlogd.pid"
  # A /dev/kvm without processor support behind it makes libvirt ask QEMU again at every define, for minutes. Read-only,
  # because a mode keeps nobody out who is root.
  unshare --mount bash -c '
    mount --bind "$1/qemu.conf" /etc/libvirt/qemu.conf
    if [ -e /dev/kvm ] && ! grep -qE "^flags.* (vmx|svm)( |$)" /proc/cpuinfo; then
      mount --bind "$1/no-kvm" /dev/kvm
      mount -o remount,bind,ro /dev/kvm
    fi
    exec libvirtd --daemon --config "$1/libvirtd.conf" --pid-file "$1/libvirtd.pid"' _ "$folder"
  for _ in $(seq 60); do answers && exit 0; sleep 0.5; done
  echo "libvirt did not answer within 30 seconds of its start" >&2
  exit 1
  ;;
*)
  echo "unknown: $action; allowed: start, stop" >&2
  exit 2
  ;;
esac
