//! Whether a container is described consistently.

use mesos::v1;

use super::{Checked, refuse_if};

/// Checks a `ContainerInfo`: its volumes, and what a Docker container needs.
pub fn validate_container(container: &v1::ContainerInfo) -> Checked {
    for volume in &container.volumes {
        validate_volume(volume).map_err(|error| error.within("Invalid volume"))?;
    }
    if container.r#type() != v1::container_info::Type::Docker {
        return Ok(());
    }
    let Some(docker) = &container.docker else {
        return Err("DockerInfo 'docker' is not set for DOCKER typed ContainerInfo".into());
    };
    refuse_if(
        docker.parameters.iter().any(|parameter| parameter.key == "name"),
        "Parameter in DockerInfo must not be 'name'",
    )
}

fn validate_volume(volume: &v1::Volume) -> Checked {
    use v1::volume::source::Type;
    let origins = [volume.host_path.is_some(), volume.image.is_some(), volume.source.is_some()];
    refuse_if(
        origins.into_iter().filter(|set| *set).count() != 1,
        "Only one of them should be set: 'host_path', 'image' and 'source'",
    )?;
    let Some(source) = &volume.source else { return Ok(()) };
    let (set, field, kind) = match source.r#type() {
        Type::DockerVolume => (source.docker_volume.is_some(), "docker_volume", "DOCKER_VOLUME"),
        Type::HostPath => (source.host_path.is_some(), "host_path", "HOST_PATH"),
        Type::SandboxPath => (source.sandbox_path.is_some(), "sandbox_path", "SANDBOX_PATH"),
        Type::Secret => (source.secret.is_some(), "secret", "SECRET"),
        Type::CsiVolume => (source.csi_volume.is_some(), "csi_volume", "CSI"),
        Type::Unknown => return Err("'source.type' is unknown".into()),
    };
    refuse_if(!set, format!("'source.{field}' is not set for {kind} volume"))?;
    let incomplete = source.csi_volume.as_ref().is_some_and(|volume| volume.static_provisioning.is_none());
    refuse_if(
        source.r#type() == Type::CsiVolume && incomplete,
        "'source.csi_volume.static_provisioning' is not set for CSI volume",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Upstream: `CommonValidationTest.Volume`.
    #[test]
    fn a_volume_has_one_origin_and_what_that_needs() {
        let check = |origin: &str| {
            let volume = format!(r#"{{"mode":"RW","container_path":"p"{origin}}}"#);
            let json = format!(r#"{{"type":"MESOS","volumes":[{volume}]}}"#);
            let container = mesos::json::from_slice(json.as_bytes()).unwrap();
            validate_container(&container).map_err(|error| error.0)
        };
        for fine in [
            r#","host_path":"h""#,
            r#","source":{"type":"HOST_PATH","host_path":{"path":"h"}}"#,
            r#","source":{"type":"SANDBOX_PATH","sandbox_path":{"type":"SELF","path":"s"}}"#,
        ] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
        let one = "Only one of them should be set: 'host_path', 'image' and 'source'";
        for (origin, text) in [
            ("", one),
            (r#","host_path":"h","source":{"type":"HOST_PATH","host_path":{"path":"h"}}"#, one),
            (
                r#","source":{"type":"DOCKER_VOLUME"}"#,
                "'source.docker_volume' is not set for DOCKER_VOLUME volume",
            ),
            (r#","source":{"type":"HOST_PATH"}"#, "'source.host_path' is not set for HOST_PATH volume"),
            (
                r#","source":{"type":"SANDBOX_PATH"}"#,
                "'source.sandbox_path' is not set for SANDBOX_PATH volume",
            ),
            (r#","source":{"type":"SECRET"}"#, "'source.secret' is not set for SECRET volume"),
            (r#","source":{"type":"CSI_VOLUME"}"#, "'source.csi_volume' is not set for CSI volume"),
            (
                r#","source":{"type":"CSI_VOLUME","csi_volume":{"plugin_name":"c"}}"#,
                "'source.csi_volume.static_provisioning' is not set for CSI volume",
            ),
            (r#","source":{"type":"UNKNOWN"}"#, "'source.type' is unknown"),
            (r#","source":{}"#, "'source.type' is unknown"),
        ] {
            assert_eq!(check(origin), Err(format!("Invalid volume: {text}")), "{origin}");
        }
    }

    /// Upstream: `TaskValidationTest.TaskMissingDockerInfo`, `TaskSettingDockerParameterName`.
    #[test]
    fn a_docker_container_needs_its_docker_part() {
        let json = r#"{"type":"DOCKER"}"#;
        let container: v1::ContainerInfo = mesos::json::from_slice(json.as_bytes()).unwrap();
        assert_eq!(
            validate_container(&container).unwrap_err().0,
            "DockerInfo 'docker' is not set for DOCKER typed ContainerInfo"
        );
        let json = r#"{"type":"DOCKER",
            "docker":{"image":"alpine","parameters":[{"key":"name","value":"x"}]}}"#;
        let container: v1::ContainerInfo = mesos::json::from_slice(json.as_bytes()).unwrap();
        assert_eq!(
            validate_container(&container).unwrap_err().0,
            "Parameter in DockerInfo must not be 'name'"
        );
    }
}
