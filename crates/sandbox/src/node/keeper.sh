#!/bin/bash
# The first process of a node: it runs in the node's own network, mount, host name and process
# namespaces, gives the node its own folders and keeps its daemons running, as an init system does.
# Its end is the end of every process and every mount of the node.
# usage: keeper.sh NODE_FOLDER HOST_NAME BIN_FOLDER
set -euo pipefail
node=$1 host_name=$2 bin=$3
export PATH=$bin:$PATH

hostname "$host_name"
echo 1 > /proc/sys/net/ipv4/ip_forward

# Nodes cannot meet: every path that a node writes is a folder of its own.
while read -r folder; do
  mkdir -p "$node/root/$folder"
  mount --bind "$node/root/$folder" "/$folder"
done < "$node/folders"
# There is no name server outside, and asking this machine's would only take time.
mount --bind "$node/resolv.conf" /etc/resolv.conf
for volatile in run/containerd run/netns; do
  mount -t tmpfs tmpfs "/$volatile"
done
# Containers see what the kubelet mounts for them, so these propagate.
for shared in var/lib/kubelet run/containerd run/netns; do
  mount --make-shared "/$shared"
done

keep() { # NAME COMMAND... : starts it again whenever it ends
  local name=$1
  shift
  while true; do
    "$@" >> "$node/log/$name.log" 2>&1 || true
    sleep 0.5
  done
}

after() { # FILE COMMAND... : the command, once the file is there
  local file=$1
  shift
  until [ -s "$file" ]; do sleep 0.1; done
  "$@"
}

keep containerd containerd --config "$node/containerd.toml" &
keep kubelet after /var/lib/kubelet/config.yaml kubelet \
  --config=/var/lib/kubelet/config.yaml \
  --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \
  --kubeconfig=/etc/kubernetes/kubelet.conf &
keep kube-proxy after /etc/kubernetes/admin.conf kube-proxy --config "$node/kube-proxy.yaml" &
wait
