//! CREATE and DESTROY.

use mesos::v1::offer::operation::{Create, Destroy};
use mesos::{Resource, Resources, v1};

use super::super::{Checked, Invalid, refuse_if, refuse_if_with, resource};
use super::{
    Requester, checked, validate_one_role, validate_reservations_known, validate_single_provider,
    validate_volumes,
};
use crate::cluster::Agent;

pub(super) fn create(create: &Create, requester: Requester<'_>, agent: &Agent) -> Checked {
    let volumes = checked(&create.volumes, "Invalid resources")?;
    validate_single_provider(&volumes).map_err(|error| error.within("Invalid resources"))?;
    validate_volumes(&volumes).map_err(|error| error.within("Not a persistent volume"))?;
    // One by one. Upstream lets a shared volume that equals one of an operator's be made once more: it is counted twice,
    // of a disk that the agent has once.
    resource::validate_unique_persistence_ids(agent.checkpointed.iter().chain(&volumes))?;
    for volume in &volumes {
        if let Requester::Framework(framework) = requester {
            refuse_if_with(volume.is_shared() && !framework.capabilities.shared_resources, || {
                format!(
                    "Create volume operation for '{volume}' has been attempted by framework '{}' with no \
                     SHARED_RESOURCES capability",
                    framework.id
                )
            })?;
        }
        validate_reservations_known(volume, agent, "Volume", "created")?;
        validate_principal(volume, requester)?;
    }
    validate_one_role(&create.volumes, requester, "Invalid volume resources")
}

/// Who is known by name creates in that name.
fn validate_principal(volume: &Resource, requester: Requester<'_>) -> Checked {
    let Some(principal) = requester.principal() else { return Ok(()) };
    let persistence = volume.disk().and_then(|disk| disk.persistence.as_ref());
    match persistence.and_then(|persistence| persistence.principal.as_deref()) {
        None => Err(Invalid(format!(
            "Create volume operation attempted by principal '{principal}', but there is a volume in the operation \
             with no principal set in 'disk.persistence'"
        ))),
        Some(named) if named != principal => Err(Invalid(format!(
            "Create volume operation attempted by authenticated principal '{principal}', which does not match a \
             volume in the operation with principal '{named}' set in 'disk.persistence'"
        ))),
        Some(_) => Ok(()),
    }
}

/// Frameworks name what was allocated to them, operators what is not: both are looked for without that.
pub(super) fn destroy(destroy: &Destroy, agent: &Agent) -> Checked {
    let bare: Vec<v1::Resource> = destroy
        .volumes
        .iter()
        .map(|volume| v1::Resource { allocation_info: None, ..volume.clone() })
        .collect();
    let volumes = checked(&bare, "Invalid resources")?;
    validate_single_provider(&volumes).map_err(|error| error.within("Invalid resources"))?;
    validate_volumes(&volumes).map_err(|error| error.within("Not a persistent volume"))?;
    let unknown = volumes
        .iter()
        .any(|volume| volume.provider_id().is_none() && !agent.checkpointed.contains_resource(volume));
    refuse_if(unknown, "Persistent volumes not found")?;
    // Only a shared volume can be offered while it is used.
    let used: Vec<Resources> = agent.used.values().map(Resources::unallocated).collect();
    let in_use = volumes.iter().any(|volume| used.iter().any(|used| used.contains_resource(volume)));
    refuse_if(in_use, "Persistent volumes in use")
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use mesos::FrameworkId;

    fn check(volumes: Vec<v1::Resource>, requester: Requester<'_>, agent: &Agent) -> Result<(), String> {
        create(&Create { volumes }, requester, agent).map_err(|error| error.0)
    }

    fn refused(volume: v1::Resource) -> String {
        check(vec![volume], OPERATOR, &agent()).unwrap_err()
    }

    /// An agent that has this volume.
    fn agent_with(volume: &v1::Resource) -> Agent {
        Agent { checkpointed: Resources::try_from_protos(std::slice::from_ref(volume)).unwrap(), ..agent() }
    }

    /// Upstream: `CreateOperationValidationTest.PersistentVolumes`, `ReadOnlyPersistentVolume`.
    #[test]
    fn only_volumes_that_can_be_written_to_are_created() {
        assert_eq!(check(vec![volume("a", "v", 8.0)], OPERATOR, &agent()), Ok(()));
        assert!(refused(disk("a", 8.0)).ends_with("does not have DiskInfo"));
        let mut read_only = volume("a", "v", 8.0);
        if let Some(place) = read_only.disk.as_mut().and_then(|disk| disk.volume.as_mut()) {
            place.set_mode(v1::volume::Mode::Ro);
        }
        assert_eq!(refused(read_only), "Not a persistent volume: Read-only persistent volume not supported");
    }

    /// Upstream: `DuplicatedPersistenceID`.
    #[test]
    fn an_id_is_used_once_for_each_role_of_an_agent() {
        let [one, two] = [8.0, 16.0].map(|size| volume("a", "v", size));
        let twice = check(vec![one.clone(), two.clone()], OPERATOR, &agent());
        assert_eq!(twice.unwrap_err(), "Persistence ID 'v' is not unique");
        let again = check(vec![two], OPERATOR, &agent_with(&one));
        assert_eq!(again.unwrap_err(), "Persistence ID 'v' is not unique");
        assert_eq!(check(vec![volume("b", "v", 8.0)], OPERATOR, &agent_with(&one)), Ok(()));
        let share = shared(one);
        let again = check(vec![share.clone()], OPERATOR, &agent_with(&share));
        assert_eq!(again.unwrap_err(), "Persistence ID 'v' is not unique");
    }

    /// Upstream: `CreateOperationValidationTest.NonMatchingPrincipal`.
    #[test]
    fn whoever_has_a_name_creates_in_that_name() {
        let named = |principal: Option<&str>| {
            let mut volume = volume("a", "v", 8.0);
            if let Some(persistence) = volume.disk.as_mut().and_then(|disk| disk.persistence.as_mut()) {
                persistence.principal = principal.map(str::to_owned);
            }
            check(vec![volume], Requester::Operator { principal: Some("p") }, &agent())
        };
        assert_eq!(named(Some("p")), Ok(()));
        assert!(named(None).unwrap_err().contains("with no principal set in 'disk.persistence'"));
        assert!(named(Some("q")).unwrap_err().contains("with principal 'q' set in 'disk.persistence'"));
    }

    /// Upstream: `SharedVolumeBasedOnCapability`, `MixedAllocationRole`.
    #[test]
    fn shared_volumes_are_for_frameworks_that_know_them_and_all_volumes_for_one_role() {
        let mut framework = framework(&["a", "b"], None);
        let volume = |role: &str| allocated(volume(role, "v", 8.0), role);
        let share = vec![shared(volume("a"))];
        let text = check(share.clone(), Requester::Framework(&framework), &agent()).unwrap_err();
        assert!(text.ends_with("attempted by framework 'f' with no SHARED_RESOURCES capability"), "{text}");
        framework.capabilities.shared_resources = true;
        assert_eq!(check(share, Requester::Framework(&framework), &agent()), Ok(()));
        let mixed = vec![volume("a"), volume("b")];
        let text = check(mixed, Requester::Framework(&framework), &agent()).unwrap_err();
        assert!(text.starts_with("Invalid volume resources: The resources have multiple"), "{text}");
    }

    /// Upstream: `CreateOperationValidationTest.AgentHierarchicalRoleCapability`.
    #[test]
    fn an_agent_must_know_roles_within_roles() {
        let text = check(vec![volume("a/b", "v", 8.0)], OPERATOR, &old_agent()).unwrap_err();
        assert!(text.contains("cannot be created on an agent without HIERARCHICAL_ROLE"), "{text}");
    }

    /// Upstream: `MultipleResourceProviders` (of CREATE and of DESTROY).
    #[test]
    fn all_volumes_are_of_one_provider() {
        let provided = |id: &str, provider: &str| v1::Resource {
            provider_id: Some(Box::new(v1::ResourceProviderId { value: provider.into() })),
            ..volume("a", id, 8.0)
        };
        let volumes = vec![provided("v", "p"), provided("w", "q")];
        let text = check(volumes.clone(), OPERATOR, &agent()).unwrap_err();
        assert_eq!(text, "Invalid resources: The resources have multiple resource providers: p, q");
        let text = destroy(&Destroy { volumes }, &agent()).unwrap_err().0;
        assert_eq!(text, "Invalid resources: The resources have multiple resource providers: p, q");
    }

    /// Upstream: `DestroyOperationValidationTest.PersistentVolumes`, `UnknownPersistentVolume`,
    /// `SharedPersistentVolumeInUse`.
    #[test]
    fn a_volume_is_destroyed_that_is_there_and_not_in_use() {
        let share = shared(volume("a", "v", 8.0));
        let named = Destroy { volumes: vec![allocated(share.clone(), "a")] };
        let result = |agent: &Agent| destroy(&named, agent).map_err(|error| error.0);
        let mut agent = agent_with(&share);
        assert_eq!(result(&agent), Ok(()));
        let used = Resources::try_from_protos(&[allocated(share, "a")]).unwrap();
        agent.use_resources(&FrameworkId::from("f"), &used);
        assert_eq!(result(&agent).unwrap_err(), "Persistent volumes in use");
        assert_eq!(result(&super::super::testing::agent()).unwrap_err(), "Persistent volumes not found");
    }
}
