#!/usr/bin/env bash
# Two machines for real, as far as one kernel has them: network namespaces with addresses of their own on one bridge. A
# worker is in each of two, Redis and the service are in a third, and two_machines.py counts what the service is asked.
# All of it is inside namespaces of this script's own (network, mounts, processes), which the kernel takes down with its
# first process, however that ends. PYTHON names the interpreter.
#
# It needs root, or a kernel that lets anybody make user namespaces. Elsewhere it says NOT TESTED, and fails where
# REQUIRED=1.
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-python3}
NETWORK=10.99.0

not_tested() {
    echo "NOT TESTED: two machines in network namespaces, because $1"
    exit "${REQUIRED:-0}"
}

if [ "${1:-}" != inside ]; then
    for tool in unshare ip; do
        command -v "$tool" >/dev/null || not_tested "there is no \`$tool\` (Debian: apt-get install util-linux iproute2)"
    done
    own=(unshare --net --mount --pid --fork --kill-child)
    [ "$(id -u)" = 0 ] || own+=(--user --map-root-user)
    error=$("${own[@]}" ip link add probe type bridge 2>&1) || not_tested "this system does not allow them: $error"
    exec "${own[@]}" "$0" inside
fi

mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mkdir /run/netns
ip link add bridge type bridge
ip address add "$NETWORK.254/24" dev bridge
ip link set bridge up
number=0
for machine in one two services; do
    number=$((number + 1))
    ip netns add "$machine"
    ip link add "to-$machine" type veth peer name eth0 netns "$machine"
    ip link set "to-$machine" master bridge up
    ip -n "$machine" address add "$NETWORK.$number/24" dev eth0
    ip -n "$machine" link set eth0 up
    ip -n "$machine" link set lo up
done

# Redis wants a password, which workers find in a variable of their own.
password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
(umask 077 && echo "requirepass $password" >/run/redis.conf)
ip netns exec services redis-server /run/redis.conf --bind "$NETWORK.3" --port 6379 --save "" --appendonly no \
    --dir /run --logfile /run/redis.log &
REDIS_PASSWORD=$password "$PYTHON" -m tests.cluster.two_machines "redis://$NETWORK.3:6379/0" "$NETWORK.3"
