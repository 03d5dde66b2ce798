//! Reservations in the form of before they could be refined (`role`, `reservation`) and in the form of since
//! (`reservations`): each framework and each operator speaks its own (upstream: `MasterTestPrePostReservationRefinement`).

use http::Method;
use libprocess::testing;
use mesos::v1;
use serde_json::{Value, json};

use super::{Agent, Cluster, create, info, launch, operation, reserve, scalar};

/// A framework in the role `r`, with or without RESERVATION_REFINEMENT.
fn framework(refines: bool) -> Value {
    let mut info = info();
    info["roles"] = json!(["r"]);
    if refines {
        info["capabilities"].as_array_mut().unwrap().push(json!({ "type": "RESERVATION_REFINEMENT" }));
    }
    info
}

/// A resource that is reserved for `r`: by an operator's setting, or at run time.
fn reserved(refined: bool, at_run_time: bool, mut resource: Value) -> Value {
    match (refined, at_run_time) {
        (true, true) => resource["reservations"] = json!([{ "type": "DYNAMIC", "role": "r" }]),
        (true, false) => resource["reservations"] = json!([{ "type": "STATIC", "role": "r" }]),
        (false, true) => {
            resource["role"] = json!("r");
            resource["reservation"] = json!({});
        }
        (false, false) => resource["role"] = json!("r"),
    }
    resource
}

fn volume(refined: bool) -> Value {
    let mut volume = reserved(refined, false, scalar("disk", 64.0));
    volume["disk"] = json!({
        "persistence": { "id": "v" }, "volume": { "container_path": "path", "mode": "RW" }
    });
    volume
}

/// The offered resources of this name that are reserved; all must be in this form.
fn reserved_of<'a>(offer: &'a v1::Offer, name: &str, refined: bool) -> Vec<&'a v1::Resource> {
    let is_reserved = |resource: &&v1::Resource| !resource.reservations.is_empty() || resource.role() != "*";
    let found: Vec<_> = offer.resources.iter().filter(|it| it.name == name).filter(is_reserved).collect();
    for resource in &found {
        assert_eq!(resource.reservations.is_empty(), !refined, "{resource:?}");
        assert_eq!(resource.role() == "r", !refined, "{resource:?}");
    }
    found
}

/// A task that takes all that was offered, as it was offered.
fn greedy(id: &str, agent: &Agent, resources: &[v1::Resource]) -> Value {
    let resources: Vec<Value> = resources.iter().map(mesos::json::to_value).collect();
    json!({
        "name": id, "task_id": { "value": id }, "agent_id": { "value": agent.id() }, "resources": resources
    })
}

/// Upstream: `MasterTestPrePostReservationRefinement.LaunchTask`, `LaunchGroup`.
/// Upstream, too: `RoleTest.ImplicitRoleStaticReservation`.
#[test]
fn tasks_and_groups_use_what_was_offered_as_it_was_offered() {
    testing::run(async {
        for refines in [false, true] {
            let cluster = Cluster::start().await;
            let agents = [
                cluster.agent("cpus(r):2;mem:1024;disk:64").await,
                cluster.agent("cpus(r):2;mem:1024;disk:64").await,
            ];
            let mut scheduler = cluster.subscribe(framework(refines)).await;
            let offers = scheduler.next_of(v1::scheduler::event::Type::Offers).await.offers.unwrap().offers;
            let of = |agent: &Agent| {
                offers.iter().find(|offer| offer.agent_id.value == agent.id()).cloned().unwrap()
            };
            let (first, second) = (of(&agents[0]), of(&agents[1]));
            assert_eq!(reserved_of(&first, "cpus", refines).len(), 1);
            let mut task = greedy("t", &agents[0], &first.resources);
            task["command"] = json!({ "value": "true" });
            scheduler.accept(&first, json!([launch(json!([task]))])).await;
            let launched = agents[0].launched().await.remove(0).task;
            // The agent knows the newer form.
            let is_refined = |resources: &[v1::Resource]| {
                resources.iter().any(|resource| resource.name == "cpus" && resource.reservations.len() == 1)
            };
            assert!(is_refined(&launched.resources), "{launched:?}");

            let executor = json!({
                "type": "CUSTOM", "executor_id": { "value": "e" }, "framework_id": { "value": scheduler.id },
                "command": { "value": "run" }, "resources": [
                    reserved(refines, false, scalar("cpus", 1.0)), scalar("mem", 32.0),
                    scalar("disk", 32.0)
                ]
            });
            let member = json!({
                "name": "g", "task_id": { "value": "g" }, "agent_id": { "value": agents[1].id() },
                "resources": [reserved(refines, false, scalar("cpus", 1.0)), scalar("mem", 32.0)]
            });
            let group = json!({ "executor": executor, "task_group": { "tasks": [member] } });
            scheduler.accept(&second, json!([operation("LAUNCH_GROUP", group)])).await;
            let got = agents[1].taken().await;
            let [super::Got::RunGroup(message)] = got.as_slice() else { panic!("{got:?}") };
            assert!(is_refined(&message.task_group.tasks[0].resources));
            assert!(is_refined(&message.executor.resources));
        }
    });
}

/// Upstream: `MasterTestPrePostReservationRefinement.ReserveCreateLaunchDestroyUnreserve`.
#[test]
fn frameworks_reserve_and_create_in_their_own_form_and_are_offered_it_so() {
    testing::run(async {
        for refines in [false, true] {
            let cluster = Cluster::start().await;
            let _agent = cluster.agent("cpus:4;mem:1024;disk(r):64").await;
            let mut scheduler = cluster.subscribe(framework(refines)).await;
            let offer = scheduler.offer().await;
            assert_eq!(reserved_of(&offer, "cpus", refines).len(), 0);
            let cpus = reserved(refines, true, scalar("cpus", 1.0));
            scheduler.accept(&offer, json!([reserve(json!([cpus])), create(json!([volume(refines)]))])).await;
            let offer = scheduler.offer().await;
            let made = reserved_of(&offer, "cpus", refines);
            let disk = reserved_of(&offer, "disk", refines);
            assert_eq!(made[0].scalar.as_ref().unwrap().value, 1.0);
            let persistence = disk[0].disk.as_ref().unwrap().persistence.as_ref().unwrap();
            assert_eq!(persistence.id, "v");
            // As they were offered.
            let (made, disk) = (mesos::json::to_value(made[0]), mesos::json::to_value(disk[0]));
            let destroy = operation("DESTROY", json!({ "volumes": [disk] }));
            let unreserve = operation("UNRESERVE", json!({ "resources": [made] }));
            scheduler.accept(&offer, json!([destroy, unreserve])).await;
            let offer = scheduler.offer().await;
            assert_eq!(reserved_of(&offer, "cpus", refines).len(), 0);
            assert!(reserved_of(&offer, "disk", refines)[0].disk.is_none());
        }
    });
}

/// Upstream: `MasterTestPrePostReservationRefinement.ReserveAndUnreserveResourcesV1`,
/// `CreateAndDestroyVolumesV1`, `PersistentVolumeEndpointsTest.SlavesEndpointFullResources`.
#[test]
fn operators_reserve_and_create_in_either_form() {
    testing::run(async {
        for refined in [false, true] {
            let cluster = Cluster::start().await;
            let agent = cluster.agent("cpus:4;mem:1024;disk(r):64").await;
            let of_agent = |kind: &str, field: &str, resource: Value| {
                let mut call = json!({ "type": kind });
                call[kind.to_lowercase()] = json!({ "agent_id": { "value": agent.id() }, field: [resource] });
                call
            };
            let shown = async |name: &str| {
                let (_, text) = cluster.ask(Method::GET, "/slaves", "").await;
                let slaves: Value = serde_json::from_str(&text).unwrap();
                let of_role = slaves["slaves"][0]["reserved_resources_full"]["r"].clone();
                let of_role = of_role.as_array().cloned().unwrap_or_default();
                of_role.into_iter().filter(|it| it["name"] == name).collect::<Vec<_>>()
            };
            let cpus = || reserved(refined, true, scalar("cpus", 1.0));
            let call = of_agent("RESERVE_RESOURCES", "resources", cpus());
            assert_eq!(cluster.api(call).await, (202, String::new()));
            let made = shown("cpus").await;
            assert_eq!((made.len(), &made[0]["scalar"]["value"]), (1, &json!(1.0)));
            let call = of_agent("UNRESERVE_RESOURCES", "resources", cpus());
            assert_eq!(cluster.api(call).await, (202, String::new()));
            assert!(shown("cpus").await.is_empty());

            let call = of_agent("CREATE_VOLUMES", "volumes", volume(refined));
            assert_eq!(cluster.api(call).await, (202, String::new()));
            assert_eq!(shown("disk").await[0]["disk"]["persistence"]["id"], "v");
            let call = of_agent("DESTROY_VOLUMES", "volumes", volume(refined));
            assert_eq!(cluster.api(call).await, (202, String::new()));
            assert_eq!(shown("disk").await[0].get("disk"), None);
        }
    });
}
