//! Decides how the machines of a sandbox reach each other: one bridge on this machine and one
//! network namespace each, with no way out of it. Knows nothing of what runs in the namespaces.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::process::{command, run};

const LIMIT: Duration = Duration::from_secs(20);

/// The network of one sandbox; two sandboxes with different networks do not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The first three numbers of every address, such as `10.88.0`.
    pub prefix: String,
    /// What the names of bridge, namespaces and control groups begin with; at most 8 letters.
    pub tag: String,
}

impl Default for Network {
    fn default() -> Self {
        Self { prefix: "10.88.0".to_owned(), tag: "acp".to_owned() }
    }
}

/// One machine's place in the network.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its address.
    pub address: String,
    /// Its network namespace.
    pub namespace: String,
    veth: String,
}

impl Network {
    /// The machine with this last number in its address.
    pub fn machine(&self, name: &str, number: u8) -> Machine {
        Machine {
            address: format!("{}.{number}", self.prefix),
            namespace: format!("{}-{name}", self.tag),
            veth: format!("{}-v{number}", self.tag),
        }
    }

    /// The address of this machine on the bridge.
    pub fn gateway(&self) -> String {
        format!("{}.1", self.prefix)
    }

    /// The name of the bridge.
    pub fn bridge(&self) -> String {
        format!("{}-br", self.tag)
    }

    /// Makes the bridge if it is not there.
    pub async fn up(&self) -> Result<()> {
        let bridge = self.bridge();
        self.refuse_a_stranger().await?;
        if !link_exists(&bridge) {
            ip(&["link", "add", &bridge, "type", "bridge"]).await?;
        }
        ip(&["addr", "replace", &format!("{}/24", self.gateway()), "dev", &bridge]).await?;
        ip(&["link", "set", &bridge, "up"]).await
    }

    /// Another program's network with our addresses would swallow the packets.
    async fn refuse_a_stranger(&self) -> Result<()> {
        let listed = run(&mut command("ip", ["-o", "-4", "addr", "show"]), LIMIT).await?;
        let ours = format!("{}.", self.prefix);
        for line in listed.lines() {
            let mut words = line.split_whitespace().skip(1);
            let (device, address) = (words.next().unwrap_or(""), words.nth(1).unwrap_or(""));
            ensure!(
                device == self.bridge() || !address.starts_with(&ours),
                "{device} has {address}, which the sandbox needs: take it down (ip link del {device})"
            );
        }
        Ok(())
    }

    /// Removes the bridge.
    pub async fn down(&self) -> Result<()> {
        let bridge = self.bridge();
        if link_exists(&bridge) { ip(&["link", "del", &bridge]).await } else { Ok(()) }
    }

    /// Makes a machine's namespace, connected to the bridge; what was left of one goes first.
    pub async fn connect(&self, machine: &Machine) -> Result<()> {
        self.disconnect(machine).await?;
        let (namespace, veth) = (machine.namespace.as_str(), machine.veth.as_str());
        ip(&["netns", "add", namespace]).await?;
        ip(&["link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", namespace])
            .await?;
        ip(&["link", "set", veth, "master", &self.bridge(), "up"]).await?;
        let address = format!("{}/24", machine.address);
        ip(&["-n", namespace, "addr", "add", &address, "dev", "eth0"]).await?;
        ip(&["-n", namespace, "link", "set", "lo", "up"]).await?;
        ip(&["-n", namespace, "link", "set", "eth0", "up"]).await?;
        ip(&["-n", namespace, "route", "add", "default", "via", &self.gateway()]).await
    }

    /// Removes a machine's namespace and its link; nothing may run in it any more.
    pub async fn disconnect(&self, machine: &Machine) -> Result<()> {
        if link_exists(&machine.veth) {
            ip(&["link", "del", &machine.veth]).await?;
        }
        if machine.exists() {
            ip(&["netns", "del", &machine.namespace]).await?;
        }
        Ok(())
    }
}

impl Machine {
    /// Whether its namespace is there.
    pub fn exists(&self) -> bool {
        Path::new("/run/netns").join(&self.namespace).exists()
    }

    /// The option that makes `nsenter` enter this machine's network; unlike `ip netns exec` it
    /// leaves the mounts of /sys alone, which the kubelet needs.
    pub fn enter(&self) -> String {
        format!("--net=/run/netns/{}", self.namespace)
    }

    /// The processes that run in its namespace.
    pub async fn processes(&self) -> Result<Vec<i32>> {
        if !self.exists() {
            return Ok(Vec::new());
        }
        let listed = run(&mut command("ip", ["netns", "pids", &self.namespace]), LIMIT).await?;
        Ok(listed.split_whitespace().filter_map(|pid| pid.parse().ok()).collect())
    }
}

fn link_exists(name: &str) -> bool {
    Path::new("/sys/class/net").join(name).exists()
}

async fn ip(arguments: &[&str]) -> Result<()> {
    run(&mut command("ip", arguments), LIMIT).await.context("set up the network")?;
    Ok(())
}
