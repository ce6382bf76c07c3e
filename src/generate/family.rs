//! An instance and everything that hangs on it: one family, undamaged.

mod activity;

use super::cloud::{Cloud, Node, Project, Stream};
use super::content::{self, FLAVORS, Flavor};
use super::random::{DAY, HOUR, Moment, Random};
use super::row::{Life, Row};

/// Where an instance belongs, for its own rows and for its records in the API database.
#[derive(Debug, Clone, Copy)]
pub(super) struct Home {
    /// The instance's id; its uuid follows from it.
    pub(super) id: i64,
    /// Its place in [`Cloud::projects`].
    pub(super) project: usize,
    pub(super) flavor: &'static Flavor,
    /// Its place in [`Cloud::images`].
    pub(super) image: usize,
    pub(super) created: Moment,
    pub(super) deleted: Option<Moment>,
}

/// The rows of one instance, the instance first.
pub(super) struct Family {
    pub(super) home: Home,
    pub(super) uuid: String,
    pub(super) rows: Vec<Row>,
}

impl Family {
    /// A soft-deleted instance: its children are marked deleted with it, except for the tables
    /// that Nova never marks.
    pub(super) fn dead(cloud: &mut Cloud) -> Self {
        Builder::new(cloud, true).build()
    }

    /// A live instance; some have a volume that was detached, whose row is soft-deleted.
    pub(super) fn live(cloud: &mut Cloud) -> Self {
        Builder::new(cloud, false).build()
    }
}

struct Builder<'a> {
    cloud: &'a mut Cloud,
    random: Random,
    home: Home,
    uuid: String,
    image: String,
    project: Project,
    node: Node,
    life: Life,
    rows: Vec<Row>,
}

impl<'a> Builder<'a> {
    fn new(cloud: &'a mut Cloud, dead: bool) -> Self {
        let id = cloud.ids.next("instances");
        let mut random = cloud.random(Stream::Family, id);
        let project = random.index(cloud.projects.len());
        let (life, retired) = if dead {
            let deleted = Moment::any(&mut random);
            let created = deleted.plus(-random.between(HOUR, 200 * DAY));
            // Nova updates the row when it begins to delete it, seconds before it marks it.
            let life = Life::dead(created, deleted).updated(deleted.plus(-1));
            (life, random.one_in(6))
        } else {
            let created = Moment::any(&mut random);
            (Life::live(created).updated(created.plus(40)), false)
        };
        let nodes = if retired && !cloud.retired.is_empty() {
            &cloud.retired
        } else {
            &cloud.nodes
        };
        let node = random.pick(nodes).clone();
        let home = Home {
            id,
            project,
            flavor: random.pick(&FLAVORS),
            image: random.index(cloud.images.len()),
            created: life.created,
            deleted: life.deleted,
        };
        Self {
            uuid: cloud.instance_uuid(id),
            image: cloud.images[home.image].clone(),
            project: cloud.projects[project].clone(),
            cloud,
            random,
            home,
            node,
            life,
            rows: Vec::with_capacity(32),
        }
    }

    fn build(mut self) -> Family {
        self.instance();
        self.extra();
        self.network();
        self.metadata();
        self.volumes();
        self.actions();
        self.faults();
        self.migrations();
        self.security_group();
        self.id_mapping();
        self.device();
        Family {
            home: self.home,
            uuid: self.uuid,
            rows: self.rows,
        }
    }

    fn is_dead(&self) -> bool {
        self.life.deleted.is_some()
    }

    /// The life of a child that goes when its instance goes: at once or a second later.
    fn with_instance(&mut self) -> Life {
        let life = Life::live(self.life.created.plus(1));
        match self.life.deleted {
            Some(at) => Life {
                deleted: Some(at.plus(self.random.between(0, 1))),
                ..life
            },
            None => life,
        }
    }

    /// A child row that goes when its instance goes.
    fn child(&mut self, table: &'static str) -> Row {
        let life = self.with_instance();
        Row::new(table, self.cloud.ids.next(table), life)
    }

    /// A child row of a table that Nova never marks.
    fn log(&mut self, table: &'static str, at: Moment, until: Moment) -> Row {
        Row::new(
            table,
            self.cloud.ids.next(table),
            Life::live(at).updated(until),
        )
    }

    fn instance(&mut self) {
        let dead = self.is_dead();
        let (flavor, created) = (self.home.flavor, self.life.created);
        let name = format!("vm-{}", self.home.id);
        let state = if dead { "deleted" } else { "active" };
        let host = &self.node.host;
        self.rows.push(
            Row::new("instances", self.home.id, self.life)
                .set("uuid", &self.uuid)
                .set("user_id", &self.project.user)
                .set("project_id", &self.project.id)
                .set("image_ref", &self.image)
                .set("kernel_id", "")
                .set("ramdisk_id", "")
                .set("launch_index", 0)
                .set("key_name", "deploy")
                .set("power_state", i64::from(!dead))
                .set("vm_state", state)
                .set("memory_mb", flavor.memory_mb)
                .set("vcpus", flavor.vcpus)
                .set("root_gb", flavor.root_gb)
                .set("ephemeral_gb", 0)
                .set("hostname", &name)
                .set("display_name", &name)
                .set("display_description", &name)
                .set("host", host)
                .set("node", format!("{host}.example.org"))
                .set("launched_on", host)
                .set("compute_id", self.node.id)
                .set(
                    "reservation_id",
                    format!("r-{:08x}", self.random.next() >> 32),
                )
                .set("launched_at", created.plus(20))
                .set("terminated_at", self.life.deleted.map(|at| at.plus(-1)))
                .set("availability_zone", "nova")
                .set("locked", false)
                .set("instance_type_id", flavor.id)
                .set("root_device_name", "/dev/vda")
                .set("config_drive", "")
                .set("progress", 0)
                .set("auto_disk_config", false)
                .set("shutdown_terminate", false)
                .set("disable_terminate", false)
                .set("cleaned", i64::from(dead))
                .set("hidden", false),
        );
    }

    fn extra(&mut self) {
        let row = self.child("instance_extra");
        self.rows.push(
            row.set("instance_uuid", &self.uuid)
                .set("pci_requests", "[]")
                .set("flavor", content::flavor_json(*self.home.flavor))
                .set("keypairs", r#"{"nova_object.name": "KeyPairList"}"#),
        );
    }

    fn network(&mut self) {
        let (port, mac) = (self.random.uuid(), content::mac(&mut self.random));
        let (high, low) = (self.random.between(1, 254), self.random.between(3, 254));
        // Kept after the delete too: the cache is what operators look at when they ask who had
        // that address.
        let info =
            content::network_info(&port, &mac, &format!("10.0.{high}.{low}"), &self.project.id);
        let row = self.child("instance_info_caches");
        self.rows.push(
            row.set("instance_uuid", &self.uuid)
                .set("network_info", info),
        );
        let row = self.child("virtual_interfaces");
        self.rows.push(
            row.set("instance_uuid", &self.uuid)
                .set("address", format!("{mac}/{port}"))
                .set("uuid", port),
        );
    }

    fn metadata(&mut self) {
        let count = usize::try_from(self.random.between(7, 11)).unwrap_or(7);
        for (key, value) in content::system_metadata(&self.image)
            .into_iter()
            .take(count)
        {
            let row = self.child("instance_system_metadata");
            self.rows.push(
                row.set("instance_uuid", &self.uuid)
                    .set("key", key)
                    .set("value", value),
            );
        }
        for (key, value) in [("owner", "team-a"), ("purpose", "ci")] {
            let row = self.child("instance_metadata");
            self.rows.push(
                row.set("instance_uuid", &self.uuid)
                    .set("key", key)
                    .set("value", value),
            );
        }
    }

    fn security_group(&mut self) {
        let row = self.child("security_group_instance_association");
        self.rows.push(
            row.set("security_group_id", self.project.group)
                .set("instance_uuid", &self.uuid),
        );
    }

    /// Half the instances have been seen through the EC2 interface, which numbers them.
    fn id_mapping(&mut self) {
        if self.random.one_in(2) {
            let row = self.child("instance_id_mappings");
            self.rows.push(row.set("uuid", &self.uuid));
        }
    }

    /// One live instance in ten has a device of its node. A dead one has given it back.
    fn device(&mut self) {
        if self.is_dead() || !self.random.one_in(10) {
            return;
        }
        let life = Life::live(self.cloud.origin).updated(self.life.created.plus(10));
        let device = self
            .cloud
            .device(&self.node, Some(&self.uuid), life, &mut self.random);
        self.rows.push(device);
    }
}
