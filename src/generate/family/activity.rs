//! What was done with an instance: volumes attached, actions taken, faults met, migrations.

use super::super::content;
use super::super::random::{HOUR, Moment};
use super::super::row::{Life, Row};
use super::Builder;

impl Builder<'_> {
    pub(super) fn volumes(&mut self) {
        let root = self.child("block_device_mapping");
        self.block_device(root, "/dev/vda", None);
        if self.random.one_in(4) {
            let row = self.child("block_device_mapping");
            let volume = self.random.uuid();
            self.block_device(row, "/dev/vdb", Some(&volume));
            self.volume_usage(&volume);
        }
        if !self.is_dead() && self.random.one_in(3) {
            let detached = self.life.created.plus(self.random.between(100, 5_000));
            let life = Life::dead(self.life.created.plus(60), detached);
            let id = self.cloud.ids.next("block_device_mapping");
            let volume = self.random.uuid();
            self.block_device(
                Row::new("block_device_mapping", id, life),
                "/dev/vdc",
                Some(&volume),
            );
        }
    }

    fn block_device(&mut self, row: Row, device: &str, volume: Option<&str>) {
        let attachment = volume.map(|_| self.random.uuid());
        let connection = volume.zip(attachment.as_deref());
        let kind = if volume.is_some() { "volume" } else { "image" };
        let row = row
            .set("instance_uuid", &self.uuid)
            .set("uuid", self.random.uuid())
            .set("device_name", device)
            .set("delete_on_termination", volume.is_none())
            .set("volume_id", volume)
            .set("volume_size", volume.map(|_| 100))
            .set("no_device", false)
            .set(
                "connection_info",
                connection.map(|(v, a)| content::connection_info(v, a)),
            )
            .set("source_type", kind)
            .set(
                "destination_type",
                if volume.is_some() { "volume" } else { "local" },
            )
            .set("device_type", "disk")
            .set("disk_bus", "virtio")
            .set("boot_index", volume.is_none().then_some(0))
            .set("image_id", volume.is_none().then_some(&self.image))
            .set("attachment_id", attachment);
        self.rows.push(row);
    }

    fn volume_usage(&mut self, volume: &str) {
        let until = self.life.deleted.unwrap_or(Moment::END.plus(-HOUR));
        let row = self.log("volume_usage_cache", self.life.created.plus(90), until);
        let (reads, writes) = (
            self.random.between(1, 1 << 20),
            self.random.between(1, 1 << 20),
        );
        self.rows.push(
            row.set("volume_id", volume)
                .set("instance_uuid", &self.uuid)
                .set("project_id", &self.project.id)
                .set("user_id", &self.project.user)
                .set("availability_zone", "nova")
                .set("tot_last_refreshed", until)
                .set("tot_reads", reads)
                .set("tot_read_bytes", reads * 4_096)
                .set("tot_writes", writes)
                .set("tot_write_bytes", writes * 4_096)
                .set("curr_last_refreshed", until)
                .set("curr_reads", 0)
                .set("curr_read_bytes", 0)
                .set("curr_writes", 0)
                .set("curr_write_bytes", 0),
        );
    }

    pub(super) fn actions(&mut self) {
        let created = self.life.created;
        self.action(
            "create",
            created.plus(1),
            &["compute__do_build_and_run_instance"],
        );
        match self.life.deleted {
            Some(at) => self.action("delete", at.plus(-2), &["compute_terminate_instance"]),
            None => self.action("reboot", created.plus(900), &["compute_reboot_instance"]),
        }
    }

    fn action(&mut self, action: &str, start: Moment, events: &[&str]) {
        let finish = start.plus(1);
        let request = format!("req-{}", self.random.uuid());
        let row = self.log("instance_actions", start, finish);
        let id = row.id();
        self.rows.push(
            row.set("action", action)
                .set("instance_uuid", &self.uuid)
                .set("request_id", request)
                .set("user_id", &self.project.user)
                .set("project_id", &self.project.id)
                .set("start_time", start)
                .set("finish_time", finish),
        );
        let second = self
            .random
            .one_in(4)
            .then_some("conductor_schedule_instances");
        for event in events.iter().copied().chain(second) {
            let row = self.log("instance_actions_events", start, finish);
            self.rows.push(
                row.set("event", event)
                    .set("action_id", id)
                    .set("start_time", start)
                    .set("finish_time", finish)
                    .set("result", "Success")
                    .set("host", &self.node.host),
            );
        }
    }

    pub(super) fn faults(&mut self) {
        if self.random.one_in(10) {
            let row = self.child("instance_faults");
            self.rows.push(
                row.set("instance_uuid", &self.uuid)
                    .set("code", 500)
                    .set("message", "MessagingTimeout")
                    .set("details", "Timed out waiting for a reply to message ID")
                    .set("host", &self.node.host),
            );
        }
    }

    pub(super) fn migrations(&mut self) {
        if !self.random.one_in(5) {
            return;
        }
        let source = self.random.pick(&self.cloud.nodes).clone();
        let row = self.child("migrations");
        self.rows.push(
            row.set("instance_uuid", &self.uuid)
                .set("uuid", self.random.uuid())
                .set("source_compute", &source.host)
                .set("dest_compute", &self.node.host)
                .set("source_node", format!("{}.example.org", source.host))
                .set("dest_node", format!("{}.example.org", self.node.host))
                .set("dest_compute_id", self.node.id)
                .set("status", "completed")
                .set("migration_type", "live-migration")
                .set("old_instance_type_id", self.home.flavor.id)
                .set("new_instance_type_id", self.home.flavor.id)
                .set("hidden", false)
                .set("cross_cell_move", false)
                .set("user_id", &self.project.user)
                .set("project_id", &self.project.id),
        );
    }
}
