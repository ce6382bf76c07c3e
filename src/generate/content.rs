//! What stands in the long columns: JSON as Nova's objects write it.

use serde_json::{Value, json};

use super::random::Random;

/// A flavor, small to large.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flavor {
    pub(super) id: i64,
    pub(super) name: &'static str,
    pub(super) vcpus: i64,
    pub(super) memory_mb: i64,
    pub(super) root_gb: i64,
}

pub(super) const FLAVORS: [Flavor; 5] = [
    flavor(1, "m1.tiny", 1, 512, 1),
    flavor(2, "m1.small", 1, 2_048, 20),
    flavor(3, "m1.medium", 2, 4_096, 40),
    flavor(4, "m1.large", 4, 8_192, 80),
    flavor(5, "c2.xlarge", 16, 32_768, 40),
];

const fn flavor(id: i64, name: &'static str, vcpus: i64, memory_mb: i64, root_gb: i64) -> Flavor {
    Flavor {
        id,
        name,
        vcpus,
        memory_mb,
        root_gb,
    }
}

/// `instance_extra.flavor`, about 1 KB.
pub(super) fn flavor_json(flavor: Flavor) -> String {
    let object = json!({
        "nova_object.name": "Flavor",
        "nova_object.namespace": "nova",
        "nova_object.version": "1.2",
        "nova_object.data": {
            "id": flavor.id,
            "name": flavor.name,
            "memory_mb": flavor.memory_mb,
            "vcpus": flavor.vcpus,
            "root_gb": flavor.root_gb,
            "ephemeral_gb": 0,
            "flavorid": flavor.id.to_string(),
            "swap": 0,
            "rxtx_factor": 1.0,
            "vcpu_weight": 0,
            "disabled": false,
            "is_public": true,
            "extra_specs": {
                "hw:cpu_policy": "shared",
                "hw:mem_page_size": "any",
                "hw_rng:allowed": "True",
                "hw:numa_nodes": "1",
                "hw:watchdog_action": "reset",
                "quota:disk_read_iops_sec": "2000",
                "quota:disk_write_iops_sec": "2000",
                "quota:vif_inbound_average": "262144",
                "quota:vif_outbound_average": "262144",
                "trait:HW_CPU_X86_AVX2": "required",
            },
            "description": "general purpose, shared CPU, network limited to 2 Gbit/s",
            "created_at": "2023-03-01T09:12:44Z",
            "updated_at": null,
            "deleted_at": null,
            "deleted": false,
        },
        "nova_object.changes": ["extra_specs"],
    });
    json!({"cur": object, "old": null, "new": null}).to_string()
}

/// `instance_info_caches.network_info` of a live instance, about 700 bytes; empty once Nova has
/// deallocated the network.
pub(super) fn network_info(port: &str, mac: &str, address: &str, project: &str) -> String {
    let subnet = json!({
        "cidr": "10.0.0.0/16",
        "dns": [],
        "gateway": {"address": "10.0.0.1", "type": "gateway", "version": 4, "meta": {}},
        "ips": [{"address": address, "type": "fixed", "version": 4, "meta": {},
                 "floating_ips": []}],
        "routes": [],
        "version": 4,
        "meta": {"dhcp_server": "10.0.0.2"},
    });
    json!([{
        "id": port,
        "address": mac,
        "network": {
            "id": "6f1d2c52-3f53-4f9e-9d1c-0d2f6f1c7a10",
            "bridge": "br-int",
            "label": "internal",
            "subnets": [subnet],
            "meta": {"injected": false, "tenant_id": project, "mtu": 1450, "tunneled": true},
        },
        "type": "ovs",
        "details": {"port_filter": true, "connectivity": "l2"},
        "devname": format!("tap{}", port.get(..11).unwrap_or(port)),
        "vnic_type": "normal",
        "active": true,
        "preserve_on_delete": false,
    }])
    .to_string()
}

/// `block_device_mapping.connection_info` of a volume.
pub(super) fn connection_info(volume: &str, attachment: &str) -> String {
    json!({
        "driver_volume_type": "rbd",
        "data": {
            "name": format!("volumes/volume-{volume}"),
            "hosts": ["192.0.2.11", "192.0.2.12", "192.0.2.13"],
            "ports": ["6789", "6789", "6789"],
            "auth_username": "cinder",
            "volume_id": volume,
            "access_mode": "rw",
        },
        "status": "reserved",
        "attached_at": "",
        "detached_at": "",
        "volume_id": volume,
        "serial": volume,
        "attachment_id": attachment,
    })
    .to_string()
}

/// Keys and values of `instance_system_metadata`; an instance has the first few of them.
pub(super) fn system_metadata(image: &str) -> [(&'static str, String); 12] {
    [
        ("image_base_image_ref", image.to_owned()),
        ("image_min_disk", "20".into()),
        ("image_min_ram", "0".into()),
        ("image_disk_format", "qcow2".into()),
        ("image_container_format", "bare".into()),
        ("owner_user_name", "deployer".into()),
        ("owner_project_name", "production".into()),
        ("boot_roles", "member,reader".into()),
        ("image_hw_disk_bus", "virtio".into()),
        ("image_hw_vif_model", "virtio".into()),
        ("image_hw_machine_type", "q35".into()),
        ("image_os_distro", "debian".into()),
    ]
}

/// `request_specs.spec`, shortened to what tells one from another.
pub(super) fn request_spec(instance: &str, project: &str, flavor: Flavor, image: &str) -> String {
    let object = |name: &str, version: &str, data: Value| {
        json!({
            "nova_object.name": name,
            "nova_object.namespace": "nova",
            "nova_object.version": version,
            "nova_object.data": data,
        })
    };
    let shape = json!({
        "name": flavor.name,
        "memory_mb": flavor.memory_mb,
        "vcpus": flavor.vcpus,
        "root_gb": flavor.root_gb,
        "ephemeral_gb": 0,
    });
    let spec = json!({
        "instance_uuid": instance,
        "project_id": project,
        "num_instances": 1,
        "availability_zone": "nova",
        "flavor": object("Flavor", "1.2", shape),
        "image": object("ImageMeta", "1.8", json!({"id": image, "min_disk": 20})),
        "retry": null,
        "limits": object("SchedulerLimits", "1.0", json!({"vcpu": null, "memory_mb": null})),
    });
    object("RequestSpec", "1.14", spec).to_string()
}

/// A MAC address of OpenStack's range.
pub(super) fn mac(random: &mut Random) -> String {
    let bits = random.next();
    let byte = |shift: u32| bits >> shift & 0xff;
    format!("fa:16:3e:{:02x}:{:02x}:{:02x}", byte(0), byte(8), byte(16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_columns_have_the_usual_size() {
        let flavor = flavor_json(FLAVORS[4]);
        assert!((800..1300).contains(&flavor.len()), "{}", flavor.len());
        let mut random = Random::of(&[1]);
        let (port, project) = (random.uuid(), random.hex_id());
        let info = network_info(&port, &mac(&mut random), "10.0.3.4", &project);
        assert!((500..900).contains(&info.len()), "{}", info.len());
    }
}
