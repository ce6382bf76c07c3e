//! What instances live in: services, compute nodes with their devices, projects with their
//! security groups and quotas, and the task log.

use super::ids::Ids;
use super::random::{DAY, HOUR, Moment, Random};
use super::row::{Life, Row};

/// A compute node.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) id: i64,
    pub(super) host: String,
}

/// A project and its default security group.
#[derive(Debug, Clone)]
pub(super) struct Project {
    pub(super) id: String,
    pub(super) user: String,
    pub(super) group: i64,
}

/// The surroundings of the instances. `nodes` is never empty, nor is `projects`.
#[derive(Debug)]
pub(super) struct Cloud {
    /// The compute nodes in service.
    pub(super) nodes: Vec<Node>,
    /// The compute nodes taken out of service: soft-deleted.
    pub(super) retired: Vec<Node>,
    pub(super) projects: Vec<Project>,
    /// The images that instances boot from.
    pub(super) images: Vec<String>,
    /// The day everything was set up: before the first instance.
    pub(super) origin: Moment,
    pub(super) ids: Ids,
    /// Seed and salt: what every stream of random numbers begins with.
    pub(super) stream: [u64; 2],
}

/// The streams of random numbers; each begins with another number.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    Cloud,
    Instance,
    Family,
    Share,
    Group,
    Orphan,
    Api,
}

impl Cloud {
    /// Makes up a cloud for so many instances; its rows, parents first within a table.
    pub(super) fn build(seed: u64, ids: Ids, instances: usize) -> (Self, Vec<Row>) {
        let mut cloud = Self {
            nodes: Vec::new(),
            retired: Vec::new(),
            projects: Vec::new(),
            images: Vec::new(),
            origin: Moment::END.plus(-1_100 * DAY),
            stream: [seed, ids.salt()],
            ids,
        };
        let mut random = cloud.random(Stream::Cloud, 0);
        let mut rows = Vec::new();
        let nodes = (instances / 100).clamp(3, 60);
        for n in 0..nodes {
            cloud.node(n % 5 == 4, &mut random, &mut rows);
        }
        cloud.node(true, &mut random, &mut rows);
        cloud.control_plane(&mut random, &mut rows);
        for _ in 0..(instances / 40).clamp(2, 500) {
            cloud.project(&mut random, &mut rows);
        }
        cloud.images = (0..8).map(|_| random.uuid()).collect();
        (cloud, rows)
    }

    /// The random numbers of one thing of a stream.
    pub(super) fn random(&self, stream: Stream, n: i64) -> Random {
        let [seed, salt] = self.stream;
        Random::of(&[seed, salt, stream as u64, n.cast_unsigned()])
    }

    /// The uuid of the instance with that id.
    pub(super) fn instance_uuid(&self, id: i64) -> String {
        self.random(Stream::Instance, id).uuid()
    }

    fn service(&mut self, host: &str, binary: &str, life: Life, random: &mut Random) -> Row {
        let topic = binary.trim_start_matches("nova-");
        Row::new("services", self.ids.next("services"), life)
            .set("host", host)
            .set("binary", binary)
            .set("topic", topic)
            .set("report_count", random.between(10_000, 9_000_000))
            .set("disabled", life.deleted.is_some())
            .set("disabled_reason", life.deleted.map(|_| "hardware retired"))
            .set("last_seen_up", life.deleted.or(life.updated))
            .set("forced_down", false)
            .set("version", 66)
            .set("uuid", random.uuid())
    }

    fn control_plane(&mut self, random: &mut Random, rows: &mut Vec<Row>) {
        let life = Life::live(self.origin).updated(Moment::END.plus(-60));
        let host = format!("controller-{:04}", self.ids.next("services") + 1);
        for binary in ["nova-scheduler", "nova-conductor"] {
            rows.push(self.service(&host, binary, life, random));
        }
    }

    fn node(&mut self, retired: bool, random: &mut Random, rows: &mut Vec<Row>) {
        let id = self.ids.next("compute_nodes");
        let host = format!("compute-{id:04}");
        let life = if retired {
            Life::dead(self.origin, Moment::any(random))
        } else {
            Life::live(self.origin).updated(Moment::END.plus(-30))
        };
        let service = self.service(&host, "nova-compute", life, random);
        let service_id = service.id();
        rows.push(service);
        let (vcpus, memory, disk) = (64, 524_288, 7_400);
        let (vcpus_used, memory_used) = (random.between(0, 60), random.between(512, 500_000));
        rows.push(
            Row::new("compute_nodes", id, life)
                .set("service_id", service_id)
                .set("host", &host)
                .set("hypervisor_hostname", format!("{host}.example.org"))
                .set("uuid", random.uuid())
                .set("vcpus", vcpus)
                .set("memory_mb", memory)
                .set("local_gb", disk)
                .set("vcpus_used", vcpus_used)
                .set("memory_mb_used", memory_used)
                .set("local_gb_used", random.between(0, 5_000))
                .set("free_ram_mb", memory - memory_used)
                .set("free_disk_gb", disk)
                .set("current_workload", 0)
                .set("running_vms", random.between(0, 40))
                .set("hypervisor_type", "QEMU")
                .set("hypervisor_version", 7_002_000)
                .set(
                    "cpu_info",
                    r#"{"arch": "x86_64", "model": "Cascadelake-Server"}"#,
                )
                .set("host_ip", format!("192.0.2.{}", id % 254 + 1))
                .set("ram_allocation_ratio", 1.0)
                .set("cpu_allocation_ratio", 4.0)
                .set("disk_allocation_ratio", 1.0)
                .set("mapped", 1),
        );
        let node = Node { id, host };
        if retired {
            self.retired.push(node);
            return;
        }
        // A node's devices go with it, so that a retired node has none.
        for _ in 0..random.between(1, 2) {
            rows.push(self.device(&node, None, life, random));
        }
        if random.one_in(3) {
            let unplugged = Life::dead(self.origin, Moment::any(random));
            rows.push(self.device(&node, None, unplugged, random));
        }
        self.nodes.push(node);
        if self.nodes.len() <= 5 {
            self.task_log(random, rows);
        }
    }

    /// A PCI device, allocated to an instance or free.
    pub(super) fn device(
        &mut self,
        node: &Node,
        instance: Option<&str>,
        life: Life,
        random: &mut Random,
    ) -> Row {
        let id = self.ids.next("pci_devices");
        // Every id has an address of its own, so that no two devices of a node share one.
        let address = format!(
            "{:04x}:{:02x}:{:02x}.{}",
            id >> 16 & 0xffff,
            id >> 8 & 0xff,
            id >> 3 & 0x1f,
            id & 7
        );
        let status = match (life.deleted, instance) {
            (Some(_), _) => "removed",
            (None, Some(_)) => "allocated",
            (None, None) => "available",
        };
        Row::new("pci_devices", id, life)
            .set("compute_node_id", node.id)
            .set(
                "dev_id",
                format!("pci_{}", address.replace([':', '.'], "_")),
            )
            .set("address", address)
            .set("product_id", "154d")
            .set("vendor_id", "8086")
            .set("dev_type", "type-PF")
            .set("label", "label_8086_154d")
            .set("status", status)
            .set("extra_info", "{}")
            .set("instance_uuid", instance)
            .set("request_id", instance.map(|_| random.uuid()))
            .set("numa_node", 0)
            .set("uuid", random.uuid())
    }

    fn task_log(&mut self, random: &mut Random, rows: &mut Vec<Row>) {
        let Some(host) = self.nodes.last().map(|n| n.host.clone()) else {
            return;
        };
        for month in 1..=3 {
            let begin = Moment::END.plus(-30 * DAY * month);
            let end = begin.plus(30 * DAY);
            let id = self.ids.next("task_log");
            let items = random.between(0, 400);
            rows.push(
                Row::new("task_log", id, Life::live(end).updated(end))
                    .set("task_name", "instance_usage_audit")
                    .set("state", "DONE")
                    .set("host", &host)
                    .set("period_beginning", begin)
                    .set("period_ending", end)
                    .set(
                        "message",
                        format!("Instance usage audit ran for host {host}."),
                    )
                    .set("task_items", items)
                    .set("errors", 0),
            );
        }
    }

    fn project(&mut self, random: &mut Random, rows: &mut Vec<Row>) {
        let born = self.origin.plus(random.between(0, 30 * DAY));
        let mut project = Project {
            id: random.hex_id(),
            user: random.hex_id(),
            group: 0,
        };
        let live = Life::live(born);
        let group = self.group(&project, "default", live);
        project.group = group.id();
        rows.push(group);
        for port in [22, 80, 443] {
            rows.push(self.rule(project.group, Some(port), None, live));
        }
        rows.push(self.rule(project.group, None, Some(project.group), live));
        // Every other project has dropped a group. Its rules are gone: with one nova-manage could
        // not archive the dataset.
        if random.one_in(2) {
            let dead = Life::dead(born, Moment::any(random));
            rows.push(self.group(&project, "web", dead));
        }
        self.quota(&project, random, rows);
        self.projects.push(project);
    }

    /// A security group.
    pub(super) fn group(&mut self, project: &Project, name: &str, life: Life) -> Row {
        Row::new("security_groups", self.ids.next("security_groups"), life)
            .set("name", name)
            .set("description", format!("security group {name}"))
            .set("user_id", &project.user)
            .set("project_id", &project.id)
    }

    /// A rule of the group `parent`: a port open to everyone, or everything open to `group`.
    pub(super) fn rule(
        &mut self,
        parent: i64,
        port: Option<i64>,
        group: Option<i64>,
        life: Life,
    ) -> Row {
        Row::new(
            "security_group_rules",
            self.ids.next("security_group_rules"),
            life,
        )
        .set("parent_group_id", parent)
        .set("protocol", "tcp")
        .set("from_port", port.unwrap_or(1))
        .set("to_port", port.unwrap_or(65_535))
        .set("cidr", port.map(|_| "0.0.0.0/0"))
        .set("group_id", group)
    }

    fn quota(&mut self, project: &Project, random: &mut Random, rows: &mut Vec<Row>) {
        for resource in ["instances", "cores", "ram"] {
            let usage = self.ids.next("quota_usages");
            rows.push(
                Row::new("quota_usages", usage, Life::live(self.origin))
                    .set("project_id", &project.id)
                    .set("user_id", &project.user)
                    .set("resource", resource)
                    .set("in_use", random.between(0, 50))
                    .set("reserved", 0),
            );
            // Nova deletes a reservation when it is committed; its usage lives on.
            let made = Moment::any(random);
            let id = self.ids.next("reservations");
            rows.push(
                Row::new("reservations", id, Life::dead(made, made.plus(3)))
                    .set("uuid", random.uuid())
                    .set("usage_id", usage)
                    .set("project_id", &project.id)
                    .set("user_id", &project.user)
                    .set("resource", resource)
                    .set("delta", 1)
                    .set("expire", made.plus(24 * HOUR)),
            );
        }
    }
}
