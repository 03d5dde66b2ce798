//! Reservations and volumes by operators: the older endpoints, and the calls of the API.

use http::Method;
use libprocess::testing;
use mesos::internal::UnregisterSlaveMessage;
use mesos::v1::offer::operation;
use mesos::v1::scheduler::event::Type;
use mesos::v1::{self, OperationState};
use serde_json::{Value, json};

use super::*;

/// Of a resource of one processor.
fn processor() -> Value {
    reserved(scalar("cpus", 1.0), "r")
}

impl Cluster {
    /// An older endpoint, with a form as upstream's tests send it.
    async fn form(&self, path: &str, agent: &str, name: &str, resources: Value) -> (u16, String) {
        self.ask(Method::POST, path, &format!("slaveId={agent}&{name}={resources}")).await
    }

    /// The allocator's decision to offer so many processors to a role of a framework.
    pub(super) fn decide(&self, framework: &Scheduler<'_>, role: &str, agent: &Agent, cpus: u32) {
        let mut resources = mesos::Resources::parse(&format!("cpus:{cpus}"), "*").unwrap();
        resources.allocate(role);
        let of_agent = [(mesos::AgentId::from(agent.id()), resources)].into_iter().collect();
        let of_role = [(role.to_owned(), of_agent)].into_iter().collect();
        let of_framework = [(mesos::FrameworkId::from(framework.id.clone()), of_role)].into_iter().collect();
        self.running.master.tell(allocator::messages::MakeOffers(of_framework));
    }

    async fn reserved_of(&self, role: &str) -> Value {
        self.get("/slaves").await["slaves"][0]["reserved_resources"][role].clone()
    }
}

/// Upstream: `ReservationEndpointsTest.AvailableResources`, `PersistentVolumeEndpointsTest.DynamicReservation`,
/// `PersistentVolumeEndpointsTest.NoAuthentication`, `ReservationEndpointsTest.ReserveAndUnreserveNoAuthentication`.
#[test]
fn an_operator_reserves_creates_destroys_and_unreserves() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024;disk:100").await;
        let id = agent.id();
        let disk = || reserved(scalar("disk", 64.0), "r");
        for (path, name, resources, kind, left) in [
            ("/reserve", "resources", json!([disk()]), operation::Type::Reserve, 64.0),
            ("/create-volumes", "volumes", json!([volume("v", 64.0, "r")]), operation::Type::Create, 64.0),
            ("/destroy-volumes", "volumes", json!([volume("v", 64.0, "r")]), operation::Type::Destroy, 64.0),
            ("/unreserve", "resources", json!([disk()]), operation::Type::Unreserve, 0.0),
        ] {
            assert_eq!(cluster.form(path, &id, name, resources).await, (202, String::new()), "{path}");
            let applied = agent.applied().await;
            assert_eq!(applied[0].operation_info.r#type(), kind);
            assert_eq!(applied[0].framework_id, None);
            // Nobody else will acknowledge it.
            agent.end_operation(&applied[0], OperationState::OperationFinished).await;
            assert!(matches!(agent.taken().await.as_slice(), [Got::AcknowledgedOperation(_)]));
            assert_eq!(cluster.reserved_of("r").await["disk"].as_f64().unwrap_or_default(), left, "{path}");
        }
    });
}

/// The calls of the API, with what upstream's master was recorded to answer (`operator-mutating.jsonl`, 047
/// to 065). Upstream: `MasterAPITest.ReserveResources`, `UnreserveResources`, `CreateAndDestroyVolumes`,
/// `GrowVolume`, `ShrinkVolume`.
#[test]
fn the_calls_of_the_api_do_the_same_and_resize_volumes() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024;disk:100").await;
        let id = agent.id();
        let call = |kind: &str, part: Value| {
            let mut call = json!({ "type": kind });
            let field = kind.to_lowercase();
            call[&field] = part;
            call[&field]["agent_id"] = json!({ "value": id });
            call
        };
        let volume = |size: f64| volume("v", size, "r");
        let disk = |size: f64| reserved(scalar("disk", size), "r");
        for (kind, part) in [
            ("RESERVE_RESOURCES", json!({ "resources": [disk(100.0)] })),
            ("CREATE_VOLUMES", json!({ "volumes": [volume(50.0)] })),
            ("GROW_VOLUME", json!({ "volume": volume(50.0), "addition": disk(10.0) })),
            ("SHRINK_VOLUME", json!({ "volume": volume(60.0), "subtract": { "value": 10.0 } })),
            ("DESTROY_VOLUMES", json!({ "volumes": [volume(50.0)] })),
        ] {
            assert_eq!(cluster.api(call(kind, part)).await, (202, String::new()), "{kind}");
        }
        let (status, text) = cluster.api(call("DESTROY_VOLUMES", json!({ "volumes": [volume(50.0)] }))).await;
        assert_eq!((status, text.as_str()), (400, "Invalid DESTROY operation: Persistent volumes not found"));
        let (status, text) =
            cluster.api(call("UNRESERVE_RESOURCES", json!({ "resources": [disk(200.0)] }))).await;
        assert_eq!(status, 409);
        assert!(text.ends_with(" does not contain disk(reservations: [(DYNAMIC,r)]):200"), "{text}");
        let all = json!({ "resources": [disk(100.0)] });
        assert_eq!(cluster.api(call("UNRESERVE_RESOURCES", all)).await.0, 202);
        let (status, text) =
            cluster.api(call("RESERVE_RESOURCES", json!({ "resources": [scalar("cpus", 1.0)] }))).await;
        assert_eq!(status, 400);
        assert!(text.starts_with(&format!("Invalid RESERVE operation on agent {id} at slave(1)@")), "{text}");
        assert!(text.ends_with("(host): Resource cpus:1 is not dynamically reserved"), "{text}");
        let bad = json!({ "resources": [reserved(scalar("cpus", 1.0), "/x")] });
        let (status, text) = cluster.api(call("RESERVE_RESOURCES", bad)).await;
        assert_eq!(status, 400);
        assert!(text.ends_with("is invalid: Role '/x' cannot start with a slash"), "{text}");
        let (status, text) = cluster
            .api(json!({
                "type": "GROW_VOLUME", "grow_volume": { "volume": volume(50.0), "addition": disk(10.0) }
            }))
            .await;
        assert_eq!(status, 400);
        assert!(text.contains("Expecting 'agent_id' to be present; only agent default resources"), "{text}");
    });
}

/// Upstream creates both: nobody can destroy them then, or create another one on the agent.
#[test]
fn of_two_operators_who_create_the_same_volume_one_is_refused() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024;disk:100").await;
        let id = agent.id();
        let disk = json!([reserved(scalar("disk", 100.0), "r")]);
        assert_eq!(cluster.form("/reserve", &id, "resources", disk).await.0, 202);
        let create = || cluster.form("/create-volumes", &id, "volumes", json!([volume("v", 10.0, "r")]));
        let ((first, _), (second, text)) = tokio::join!(create(), create());
        assert_eq!((first, second), (202, 400), "{text}");
        assert!(text.ends_with("Persistence ID 'v' is not unique"), "{text}");
        let kinds: Vec<_> = agent.applied().await.iter().map(|it| it.operation_info.r#type()).collect();
        assert_eq!(kinds, [operation::Type::Reserve, operation::Type::Create]);
        // The allocator believes the master: what was not created is free to be reserved otherwise.
        let other = json!([volume("w", 90.0, "r")]);
        assert_eq!(cluster.form("/create-volumes", &id, "volumes", other).await, (202, String::new()));
        let volumes = json!([volume("v", 10.0, "r"), volume("w", 90.0, "r")]);
        assert_eq!(cluster.form("/destroy-volumes", &id, "volumes", volumes).await, (202, String::new()));
    });
}

/// Upstream: `ReservationEndpointsTest.ReserveOfferedResources`, `ReserveAvailableAndOfferedResources`,
/// `UnreserveOfferedResources`, `UnreserveAvailableAndOfferedResources`.
#[test]
fn offers_are_taken_back_to_make_room_and_no_others() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let first = cluster.agent("cpus:2;mem:1024").await;
        let mut scheduler = cluster.subscribe(reserving_info()).await;
        let offer = scheduler.offer().await;
        // A task uses one processor; the other one is offered.
        scheduler.launch(&[&offer], json!([task("t", &first, 1.0, 32.0)])).await;
        let offer = scheduler.offer().await;
        let none_of_it = json!([reserved(scalar("disk", 1.0), "r")]);
        assert_eq!(cluster.form("/reserve", &first.id(), "resources", none_of_it).await.0, 409);
        let answer = cluster.form("/reserve", &first.id(), "resources", json!([processor()])).await;
        assert_eq!(answer, (202, String::new()));
        let rescinded = scheduler.next_of(Type::Rescind).await;
        assert_eq!(rescinded.rescind.unwrap().offer_id.value, offer.id.value);
        // It is offered as what it is now, and that is taken back again.
        let offer = scheduler.offer().await;
        let answer = cluster.form("/unreserve", &first.id(), "resources", json!([processor()])).await;
        assert_eq!(answer, (202, String::new()));
        let rescinded = scheduler.next_of(Type::Rescind).await;
        assert_eq!(rescinded.rescind.unwrap().offer_id.value, offer.id.value);
        // What the task uses cannot be had.
        let two = json!([reserved(scalar("cpus", 2.0), "r")]);
        let (status, text) = cluster.form("/reserve", &first.id(), "resources", two).await;
        assert_eq!(status, 409);
        assert!(text.ends_with("does not contain cpus:2"), "{text}");
    });
}

/// Upstream: `ReservationEndpointsTest.NoSlaveId`, `NoResources`, `InvalidResource`, `InsufficientResources`,
/// `PersistentVolumeEndpointsTest.NoSlaveId`, `NoVolumes`, `InvalidVolume`, `VolumeExceedsReservedSize`,
/// `DeleteNonExistentVolume`, `UnreserveVolumeResources`, `DynamicReservationRoleMismatch`.
#[test]
fn what_is_not_right_is_named() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024;disk:100").await;
        let id = agent.id();
        let ask = |path: &'static str, body: String| {
            let cluster = &cluster;
            async move { cluster.ask(Method::POST, path, &body).await }
        };
        let missing = |name: &str| format!("Missing '{name}' query parameter in the request body");
        assert_eq!(ask("/reserve", "resources=[]".into()).await, (400, missing("slaveId")));
        assert_eq!(ask("/create-volumes", "volumes=[]".into()).await, (400, missing("slaveId")));
        let only_id = format!("slaveId={id}");
        assert_eq!(ask("/unreserve", only_id.clone()).await, (400, missing("resources")));
        assert_eq!(ask("/destroy-volumes", only_id).await, (400, missing("volumes")));
        let malformed = "Unable to decode query string: Malformed % escape in '50%': '%'";
        for path in ["/reserve", "/unreserve", "/create-volumes", "/destroy-volumes"] {
            assert_eq!(ask(path, format!("slaveId={id}&key=50%")).await, (400, malformed.to_owned()));
        }
        let (status, text) = ask("/unreserve", format!("slaveId={id}&resources=7")).await;
        assert_eq!(status, 400);
        assert!(
            text.starts_with("Error in parsing 'resources' query parameter in the request body: "),
            "{text}"
        );
        let answer = cluster.form("/reserve", "nobody", "resources", json!([processor()])).await;
        assert_eq!(answer, (400, "No agent found with specified ID".to_owned()));
        let for_all = json!([reserved(scalar("cpus", 1.0), "*")]);
        assert_eq!(cluster.form("/reserve", &id, "resources", for_all).await.0, 400);
        let too_much = json!([reserved(scalar("cpus", 9.0), "r")]);
        assert_eq!(cluster.form("/reserve", &id, "resources", too_much).await.0, 409);
        let reserve = json!([reserved(scalar("disk", 64.0), "r")]);
        assert_eq!(cluster.form("/reserve", &id, "resources", reserve.clone()).await.0, 202);
        for (volumes, status, expected) in [
            (json!([reserved(scalar("disk", 64.0), "r")]), 400, "does not have DiskInfo"),
            (json!([volume("v", 65.0, "r")]), 409, "does not contain"),
            (json!([volume("v", 64.0, "other")]), 409, "does not contain"),
            (json!([volume("v", 64.0, "r")]), 202, ""),
        ] {
            let answer = cluster.form("/create-volumes", &id, "volumes", volumes).await;
            assert_eq!(answer.0, status, "{}", answer.1);
            assert!(answer.1.contains(expected), "{}", answer.1);
        }
        // Another id, another size, another role.
        for other in [volume("w", 64.0, "r"), volume("v", 32.0, "r"), volume("v", 64.0, "other")] {
            let answer = cluster.form("/destroy-volumes", &id, "volumes", json!([other])).await;
            assert_eq!(answer, (400, "Invalid DESTROY operation: Persistent volumes not found".to_owned()));
        }
        // The volume has it.
        assert_eq!(cluster.form("/unreserve", &id, "resources", reserve).await.0, 409);
        // Where a task would see it makes no difference.
        let mut elsewhere = volume("v", 64.0, "r");
        elsewhere["disk"]["volume"]["container_path"] = json!("elsewhere");
        assert_eq!(cluster.form("/destroy-volumes", &id, "volumes", json!([elsewhere])).await.0, 202);
        assert_eq!(cluster.ask(Method::GET, "/reserve", "").await.0, 405);
    });
}

/// Upstream: `PersistentVolumeEndpointsTest.StaticReservation`.
#[test]
fn an_operator_makes_volumes_of_what_an_agent_has_reserved_from_the_start() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024;disk(r):100").await;
        let id = agent.id();
        let mut fixed = volume("v", 64.0, "r");
        fixed["reservations"] = json!([{ "type": "STATIC", "role": "r" }]);
        assert_eq!(cluster.form("/create-volumes", &id, "volumes", json!([fixed])).await.0, 202);
        let mut scheduler = cluster.subscribe(reserving_info()).await;
        let volumes = |offer: &v1::Offer| offer.resources.iter().filter(|it| it.disk.is_some()).count();
        let offer = scheduler.offer().await;
        assert_eq!(volumes(&offer), 1);
        assert_eq!(cluster.form("/destroy-volumes", &id, "volumes", json!([fixed])).await.0, 202);
        let rescinded = scheduler.next_of(Type::Rescind).await.rescind.unwrap();
        assert_eq!(rescinded.offer_id, offer.id);
        let offer = scheduler.offer().await;
        assert_eq!((volumes(&offer), amount(&offer.resources, "disk")), (0, 100.0));
    });
}

/// Upstream: `PersistentVolumeEndpointsTest.EndpointCreateThenOfferRemove`, `OfferCreateThenEndpointRemove`,
/// `ReservationEndpointsTest.LabeledResources`.
#[test]
fn frameworks_and_operators_undo_what_the_other_has_made() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024;disk:100").await;
        let id = agent.id();
        let mut labelled = reserved(scalar("disk", 64.0), "r");
        labelled["reservations"][0]["labels"] = json!({ "labels": [{ "key": "a", "value": "b" }] });
        let mut volume = volume("v", 64.0, "r");
        volume["reservations"] = labelled["reservations"].clone();
        assert_eq!(cluster.form("/reserve", &id, "resources", json!([labelled])).await.0, 202);
        let plain = json!([reserved(scalar("disk", 64.0), "r")]);
        assert_eq!(cluster.form("/unreserve", &id, "resources", plain).await.0, 409, "it has no label");
        assert_eq!(cluster.form("/create-volumes", &id, "volumes", json!([volume])).await.0, 202);
        let mut scheduler = cluster.subscribe(reserving_info()).await;
        let offer = scheduler.offer().await;
        let undo = operation("DESTROY", json!({ "volumes": [volume] }));
        scheduler.accept(&offer, json!([undo])).await;
        let offer = scheduler.offer().await;
        scheduler.accept(&offer, json!([create(json!([volume]))])).await;
        assert_eq!(cluster.form("/destroy-volumes", &id, "volumes", json!([volume])).await.0, 202);
        assert_eq!(cluster.form("/unreserve", &id, "resources", json!([labelled])).await.0, 202);
        assert_eq!(cluster.reserved_of("r").await, json!(null));
    });
}

/// Upstream: `MasterAPITest.ReservationUpdate`.
#[test]
fn a_reservation_can_be_changed_into_another() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        let id = agent.id();
        let roles = |roles: &[&str]| {
            let stack: Vec<Value> =
                roles.iter().map(|role| json!({ "type": "DYNAMIC", "role": role })).collect();
            let mut both = [scalar("cpus", 1.0), scalar("mem", 10.0)];
            for resource in both.iter_mut().filter(|_| !stack.is_empty()) {
                resource["reservations"] = json!(stack);
            }
            json!(both)
        };
        let (foo, bar) = (roles(&["role", "role/foo"]), roles(&["role", "role/bar"]));
        let change = async |source: &Value, resources: &Value| {
            let reserve = json!({ "agent_id": { "value": id }, "source": source, "resources": resources });
            cluster.api(json!({ "type": "RESERVE_RESOURCES", "reserve_resources": reserve })).await.0
        };
        assert_eq!(change(&bar, &foo).await, 409, "nothing is reserved for that role");
        assert_eq!(change(&roles(&[]), &foo).await, 202);
        assert_eq!(cluster.reserved_of("role/foo").await["cpus"], 1.0);
        assert_eq!(change(&bar, &foo).await, 409, "nothing is reserved for that role");
        assert_eq!(change(&foo, &bar).await, 202);
        assert_eq!(cluster.reserved_of("role/bar").await["mem"], 10.0);
        assert_eq!(cluster.reserved_of("role/foo").await, Value::Null);
        assert_eq!(agent.applied().await.len(), 2);
    });
}

/// Upstream: `ReservationEndpointsTest.DifferentPrincipalsSameRole`.
#[test]
fn what_two_principals_reserve_for_a_role_are_two_reservations_of_it() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:2;mem:1024").await;
        for principal in ["one", "other"] {
            let mut resource = processor();
            resource["reservations"][0]["principal"] = json!(principal);
            let answer = cluster.form("/reserve", &agent.id(), "resources", json!([resource])).await;
            assert_eq!(answer, (202, String::new()));
        }
        let mut scheduler = cluster.subscribe(reserving_info()).await;
        let offer = scheduler.offer().await;
        let processors = offer.resources.iter().filter(|resource| resource.name == "cpus");
        let mut of: Vec<_> = processors
            .map(|resource| (resource.reservations[0].principal(), resource.scalar.unwrap().value))
            .collect();
        of.sort_by_key(|(principal, _)| *principal);
        assert_eq!(of, [("one", 1.0), ("other", 1.0)]);
    });
}

/// Upstream: `PersistentVolumeEndpointsTest.ReserveAndSlaveRemoval`.
#[test]
fn what_is_reserved_goes_with_its_agent_and_with_no_other() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let (leaves, stays) = (cluster.agent("cpus:4;mem:64").await, cluster.agent("cpus:3;mem:64").await);
        for (agent, cpus) in [(&leaves, 4.0), (&stays, 3.0)] {
            let all = json!([reserved(scalar("cpus", cpus), "r")]);
            assert_eq!(cluster.form("/reserve", &agent.id(), "resources", all).await, (202, String::new()));
        }
        let mut scheduler = cluster.subscribe(reserving_info()).await;
        let offers = scheduler.next_of(Type::Offers).await.offers.unwrap().offers;
        assert_eq!(offers.len(), 2);
        let gone = offers.iter().find(|offer| offer.agent_id.value == leaves.id()).unwrap();
        leaves.post(UnregisterSlaveMessage { slave_id: leaves.info.id.clone().unwrap() });
        let rescinded = scheduler.next_of(Type::Rescind).await;
        assert_eq!(rescinded.rescind.unwrap().offer_id, gone.id);
        let slaves = cluster.get("/slaves").await;
        assert_eq!(slaves["slaves"].as_array().unwrap().len(), 1);
        assert_eq!(slaves["slaves"][0]["id"], stays.id());
        assert_eq!(cluster.reserved_of("r").await["cpus"], 3.0);
        let role = cluster.get("/roles").await["roles"]
            .as_array()
            .unwrap()
            .iter()
            .find(|role| role["name"] == "r")
            .cloned();
        assert_eq!(role.unwrap()["reserved"]["cpus"], 3.0);
    });
}

/// Its agent comes back between the question to the allocator and the answer: the allocator hears of what the agent had
/// before, behind what was to be free.
#[test]
fn the_allocator_offers_what_an_operator_has_reserved_while_the_agent_came_back() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let call = json!({ "type": "RESERVE_RESOURCES", "reserve_resources": {
            "agent_id": { "value": agent.id() }, "resources": [processor()] } });
        let returns = async { agent.reregister(vec![], vec![]) };
        let ((status, text), ()) = tokio::join!(cluster.api(call), returns);
        assert_eq!((status, text.as_str()), (202, ""));
        assert!(agent.taken().await.iter().any(|got| matches!(got, Got::Reregistered(_))));
        assert_eq!(cluster.reserved_of("r").await["cpus"], 1.0);
        let mut info = reserving_info();
        info["roles"] = json!(["s"]);
        let mut alien = cluster.subscribe(info).await;
        assert_eq!(amount(&alien.offer().await.resources, "cpus"), 3.0, "the rest");
    });
}

/// The allocator had decided before it heard of it.
#[test]
fn what_an_operator_has_just_reserved_is_not_offered_to_others() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut info = reserving_info();
        info["roles"] = json!(["s"]);
        let mut alien = cluster.subscribe(info).await;
        let offer = alien.offer().await;
        alien.call("DECLINE", json!({ "offer_ids": [{ "value": offer.id.value }] })).await;
        let reserve = json!([processor()]);
        assert_eq!(cluster.form("/reserve", &agent.id(), "resources", reserve).await.0, 202);
        for (cpus, offers) in [(4, 0), (3, 1)] {
            cluster.decide(&alien, "s", &agent, cpus);
            let pending = alien.pending().await;
            let made = pending.iter().filter(|event| event.r#type() == Type::Offers).count();
            assert_eq!(made, offers, "of {cpus}");
        }
    });
}

/// The allocator had decided while it was asked whether that is free.
#[test]
fn what_was_offered_while_an_operator_reserved_it_is_taken_back() {
    testing::run(async {
        let cluster = Cluster::start().await;
        let agent = cluster.agent("cpus:4;mem:1024").await;
        let mut info = reserving_info();
        info["roles"] = json!(["s"]);
        let mut alien = cluster.subscribe(info).await;
        let offer = alien.offer().await;
        alien.call("DECLINE", json!({ "offer_ids": [{ "value": offer.id.value }] })).await;
        let call = json!({ "type": "RESERVE_RESOURCES", "reserve_resources": {
            "agent_id": { "value": agent.id() }, "resources": [processor()] } });
        let decides = async { cluster.decide(&alien, "s", &agent, 4) };
        let ((status, _), ()) = tokio::join!(cluster.api(call), decides);
        assert_eq!(status, 202);
        let kinds: Vec<Type> = alien.pending().await.iter().map(|event| event.r#type()).collect();
        assert_eq!(kinds, [Type::Offers, Type::Rescind]);
    });
}
