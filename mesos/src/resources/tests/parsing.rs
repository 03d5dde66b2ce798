//! Text and JSON forms, and printing.

use super::*;

/// Upstream: `ResourcesTest.Parsing`, `Resources`, `Printing`.
#[test]
fn scalars_ranges_and_sets_are_read() {
    let parsed = resources("cpus:45.55;ports:[10000-20000, 30000-50000];disks:{sda1}");
    assert_eq!(parsed.to_text(), "cpus:45.55; ports:[10000-20000, 30000-50000]; disks:{sda1}");
    assert_eq!(parsed.cpus().unwrap().to_f64(), 45.55);
    assert_eq!(parsed.ports().unwrap().count(), 30_002);
    assert_eq!(parsed.set("disks").unwrap().len(), 1);
    assert_eq!(parsed.mem(), None);
}

/// Upstream: `ResourcesTest.ParsingWithRoles`.
#[test]
fn a_role_stands_in_parentheses_or_is_the_default_one() {
    let expected = resources("cpus(role1):2.5;ports(role2):[0-100]");
    assert_eq!(Resources::parse("cpus:2.5;ports(role2):[0-100]", "role1").unwrap(), expected);
    assert_eq!(expected.reservations().keys().collect::<Vec<_>>(), ["role1", "role2"]);
    assert_eq!(Resources::parse("cpus(*):1", "role1").unwrap(), resources("cpus:1"));
}

/// Upstream: `ResourcesTest.ParseError`, `VerySmallValue`.
#[test]
fn malformed_texts_say_what_is_wrong() {
    for (text, message) in [
        ("cpus(role1)", "Bad value for resources, missing or extra ':' in cpus(role1)"),
        ("cpus:1:2", "Bad value for resources, missing or extra ':' in cpus:1:2"),
        ("cpus(role1:1", "Bad value for resources, mismatched parentheses in cpus(role1:1"),
        ("cpus)(role1:1", "Bad value for resources, mismatched parentheses in cpus)(role1:1"),
        (
            "foo(role1):1;foo(role2):[0-1]",
            "Resources with the same name ('foo') but different types are not allowed",
        ),
        (
            "cpus:-1",
            "Failed to parse resource cpus value -1 error Invalid scalar value '-1':Negative values not supported",
        ),
        ("cpus:0x2", "Bad type for resource cpus value 0x2 type TEXT"),
        ("cpus:0.00001", "Invalid scalar resource: value <= 0"),
        ("cpus:1e300", "Invalid scalar resource: value <= 0"),
        (
            "ports:[3-1]",
            "Failed to parse resource ports value [3-1] error Invalid ranges resource: begin > end",
        ),
        ("disks:{a,a}", "Invalid set resource: duplicated elements"),
        ("cpus(a b):1", "Role component 'a b' is invalid because it contains backspace or whitespace"),
        (" :1", "Empty resource name"),
    ] {
        assert_eq!(Resources::parse(text, "*").unwrap_err().to_string(), message, "{text}");
    }
}

/// Upstream: `ResourcesTest.InitializedIsEmpty`, `AbsentResources`.
#[test]
fn nothing_is_nothing() {
    for text in ["", "gpus:0", "ports:[]", "disks:{}", "[]"] {
        assert!(resources(text).is_empty(), "{text}");
        assert_eq!(resources(text).to_text(), "{}");
    }
}

/// Upstream: `ResourcesTest.ParsingFromJSON`, `ParsingFromJSONWithRoles`.
#[test]
fn json_says_the_same_as_text() {
    let json = r#"[
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 45.55}},
        {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 10000, "end": 20000}]}, "role": "role1"},
        {"name": "pandas", "type": "SET", "set": {"item": ["pandas_liberation"]},
         "reservations": [{"type": "STATIC", "role": "role1"}]}
    ]"#;
    assert_eq!(
        resources(json),
        resources("cpus:45.55;ports(role1):[10000-20000];pandas(role1):{pandas_liberation}")
    );
    let defaulted =
        Resources::parse(r#"[{"name":"mem","type":"SCALAR","scalar":{"value":1}}]"#, "role1").unwrap();
    assert_eq!(defaulted, resources("mem(role1):1"));
}

/// Upstream: `ResourcesTest.ParsingFromJSONError`.
#[test]
fn malformed_json_is_not_taken_for_text() {
    let message = |json: &str| Resources::parse(json, "*").unwrap_err().to_string();
    assert!(message("[{").starts_with("Some JSON resources were not formatted properly: "));
    assert!(message(r#"[{"name": "cpus"}]"#).contains("type"), "{}", message(r#"[{"name": "cpus"}]"#));
    assert_eq!(
        message(r#"[{"name":"cpus","type":"SCALAR","ranges":{"range":[]}}]"#),
        "Invalid scalar resource"
    );
    let pandas = r#"{"name":"pandas","type":"SET","set":{"item":["a","b"]}}"#;
    let scalar = r#"{"name":"pandas","type":"SCALAR","scalar":{"value":14}}"#;
    let negative = scalar.replace("14", "-1");
    for malformed in [
        pandas.to_owned(),
        format!("{pandas},{pandas}"),
        format!("[{pandas} {pandas}]"),
        format!("[[{pandas},{pandas}]]"),
        format!("[{pandas}] once upon a time"),
        format!("[{}]", pandas.replace(",\"b\"", " \"b\"")),
        format!("[{}]", pandas.replace("]}", "}}")),
        format!("[{}]", pandas.replace("\"pandas\"", "\"\"")),
        format!("[{}]", pandas.replace("SET", "FLOATINGPOINT")),
        format!("[{pandas},{scalar}]"),
        format!("[{negative}]"),
    ] {
        assert!(Resources::parse(&malformed, "*").is_err(), "{malformed}");
    }
}

/// Upstream: `ResourcesTest.ParsingFromJSONError`.
#[test]
fn what_is_made_at_run_time_cannot_be_given_to_a_daemon() {
    let message = |extra: &str| {
        let json = format!(r#"[{{"name":"disk","type":"SCALAR","scalar":{{"value":1}},{extra}}}]"#);
        Resources::parse(&json, "*").unwrap_err().to_string()
    };
    assert!(message(r#""disk":{"persistence":{"id":"1"}}"#).starts_with("Persistent volumes cannot"));
    assert!(message(r#""revocable":{}"#).starts_with("Revocable resources cannot"));
    assert!(message(r#""allocation_info":{"role":"r"}"#).starts_with("Allocated resources cannot"));
    let reservations = r#""reservations":[{"type":"DYNAMIC","role":"r"}]"#;
    assert!(message(reservations).starts_with("Dynamic reservations cannot"));
    assert_eq!(
        message(r#""role":"*","reservation":{"principal":"p"}"#),
        "Invalid reservation: role \"*\" cannot be dynamically reserved"
    );
}

/// Upstream: `ResourcesTest.PrintingExtendedAttributes`.
#[test]
fn printing_shows_everything_that_tells_resources_apart() {
    let print = |proto: &v1::Resource| display::Proto(proto).to_string();
    let mut resource = proto("disk(alice):1");
    assert_eq!(print(&resource), "disk(reservations: [(STATIC,alice)]):1");
    resource.allocation_info = Some(v1::resource::AllocationInfo { role: Some("role".into()) });
    assert_eq!(print(&resource), "disk(allocated: role)(reservations: [(STATIC,alice)]):1");
    resource.allocation_info = None;
    resource.revocable = Some(Default::default());
    assert_eq!(print(&resource), "disk(reservations: [(STATIC,alice)]){REV}:1");
    let mut resource = disk("disk(alice):1", Some("hadoop"), Some("/data"), None);
    resource.revocable = Some(Default::default());
    assert_eq!(print(&resource), "disk(reservations: [(STATIC,alice)])[hadoop:/data]{REV}:1");
    resource.revocable = None;
    let disk = resource.disk.as_mut().unwrap();
    disk.volume.as_mut().unwrap().host_path = Some("/hdfs".into());
    disk.volume.as_mut().unwrap().set_mode(v1::volume::Mode::Rw);
    disk.source = Some(disk_source(source::Type::Mount, "/mnt1"));
    assert_eq!(print(&resource), "disk(reservations: [(STATIC,alice)])[MOUNT:/mnt1,hadoop:/hdfs:/data:rw]:1");
    resource.disk.as_mut().unwrap().source = Some(disk_source(source::Type::Path, "/mnt2"));
    assert_eq!(print(&resource), "disk(reservations: [(STATIC,alice)])[PATH:/mnt2,hadoop:/hdfs:/data:rw]:1");
    resource.disk = None;
    let mut refined = dynamic("alice/refined", "hdfs-p");
    refined.labels = Some(labels(&[("foo", "bar")]));
    refined.labels.as_mut().unwrap().extend([Label { key: "foo".into(), value: None }]);
    resource.reservations.push(refined);
    let expected = "disk(reservations: [(STATIC,alice),(DYNAMIC,alice/refined,hdfs-p,{foo: bar, foo})]):1";
    assert_eq!(print(&resource), expected);
    assert_eq!(one(&resource).to_string(), expected);
}

/// Upstream: `SharedResourcesTest.Printing`.
#[test]
fn shared_resources_print_their_copies() {
    let volume = bag(&[&shared(disk("disk(role1):64", Some("id1"), Some("path1"), None))]);
    assert_eq!(volume.to_text(), "disk(reservations: [(STATIC,role1)])[id1:path1]<SHARED>:64<1>");
    assert_eq!(
        (&volume + &volume).to_text(),
        "disk(reservations: [(STATIC,role1)])[id1:path1]<SHARED>:64<2>"
    );
}

/// Upstream: `HTTPTest.ModelResources`.
#[test]
fn the_summary_has_the_known_scalars_always() {
    let mut with_revocable = proto("cpus:3");
    with_revocable.revocable = Some(Default::default());
    let bag = bag(&[&proto("cpus:2"), &proto("cpus(r):1.5"), &proto("ports:[1-3]"), &with_revocable]);
    assert_eq!(
        serde_json::to_string(&Summary(&bag)).unwrap(),
        r#"{"cpus":3.5,"cpus_revocable":3.0,"disk":0.0,"gpus":0.0,"mem":0.0,"ports":"[1-3]"}"#
    );
}
